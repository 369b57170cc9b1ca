"""The base class of kernels that rewrite a convolution's input in a form that multiplies faster."""

from dataclasses import dataclass, replace

from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.layout import Layout

WORTH = 32
"""Copying is faster from this many products of an activation on."""


@dataclass(frozen=True, kw_only=True)
class CopiedRows(RowKernel):
    """`height` rows of `width` pixels, halo included; x: bytes between those that are read."""

    width: int
    channels: int
    x: Strides

    def reads(self, items: range) -> range:
        """Bytes that work items read."""
        wide = self.x.span(self.width, self.channels)
        return range(items[0] * self.x.row, items[-1] * self.x.row + wide)


@dataclass(frozen=True)
class ReadPixels:
    """The rows, and pixels of a row, that the windows of a convolution read, with the bytes between them.

    For a kernel of 1 x 1 they are only the pixels that it reads.
    """

    height: int
    width: int
    x: Strides


def read_pixels(
    output: tuple[int, int], reach: tuple[int, int], stride: tuple[int, int], x: Layout
) -> ReadPixels:
    """Return what a convolution reads. `output` and `reach`: rows and columns of the result, of a window."""
    read = x.strides
    if reach == (1, 1):
        read, stride = replace(read, row=read.row * stride[0], pixel=read.pixel * stride[1]), (1, 1)
    height, width = ((n - 1) * s + r for n, s, r in zip(output, stride, reach, strict=True))
    return ReadPixels(height, width, read)
