"""The layout of activations: rows of pixels of channels, with the halo that convolutions read.

Rows share their padding: the pixels to the right of one row are those to the left of the next.
"""

from dataclasses import dataclass, replace

from targets.tvm.integer_graph import IntegerGraph, outputs
from targets.tvm.isa import APART, CENTRE, Isa
from targets.tvm.kernels.strides import Strides
from targets.tvm.operators.assembling import Assemble
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Add
from targets.tvm.tensors import Tensor

CHANNEL_ALIGNMENT = 16
"""The number of stored channels is a multiple of this, except for the image; padding channels are unused."""

_SLACK = 64  # the last loads of a run may reach beyond it


@dataclass(frozen=True)
class Layout:
    """The memory of one activation tensor. Sizes in pixels, `channels` as stored.

    A pixel of a `wide` one has an int16 for each channel, or `apart` the high bytes of all channels, then
    their low bytes.
    """

    height: int
    width: int
    channels: int
    top: int = 0
    bottom: int = 0
    side: int = 0
    wide: bool = False
    apart: bool = False

    @property
    def pixel(self) -> int:
        """Bytes of a pixel."""
        return self.channels * (2 if self.wide else 1)

    @property
    def row(self) -> int:
        """Bytes from one row to the next."""
        return (self.width + self.side) * self.pixel

    @property
    def strides(self) -> Strides:
        """Elements between rows and between pixels."""
        if self.wide and not self.apart:
            return Strides(self.row // 2, self.channels, words=True)
        return Strides(self.row, self.pixel, self.channels if self.wide else 0)

    @property
    def lowered(self) -> int:
        """By how much the numbers of a wide one are lower as they are stored."""
        return APART if self.apart else CENTRE

    @property
    def origin(self) -> int:
        """Bytes from the start to the first pixel of the image."""
        return self.top * self.row + self.side * self.pixel

    @property
    def size(self) -> int:
        """Bytes in all."""
        rows = self.top + self.height + self.bottom
        return rows * self.row + self.side * self.pixel + _SLACK

    @property
    def has_halo(self) -> bool:
        """Whether anything around the image has to be filled."""
        return bool(self.top or self.bottom or self.side)


def layouts(graph: IntegerGraph, isa: Isa) -> dict[str, Layout]:
    """Lay out every tensor of pixels so that each convolution finds its padding."""
    written = [tensor for op in graph.operators for tensor in outputs(op)]
    found = {t.name: _plain(t, t is graph.image) for t in written if isinstance(t, Tensor)}
    if isa.bytes_apart:
        together = _only_added(graph)
        found |= {name: replace(one, apart=True) for name, one in found.items() if name not in together}
    for op in graph.operators:
        if isinstance(op, Conv):
            found[op.input.name] = _with_halo(found[op.input.name], op)
    return found


def stored_channels(channels: int) -> int:
    """Channels rounded up to the alignment."""
    return -(-channels // CHANNEL_ALIGNMENT) * CHANNEL_ALIGNMENT


def _plain(tensor: Tensor, image: bool) -> Layout:
    channels = tensor.channels if image else stored_channels(tensor.channels)
    return Layout(tensor.height, tensor.width, channels, wide=tensor.wide)


def _only_added(graph: IntegerGraph) -> frozenset[str]:
    """Tensors that are added or copied, but not multiplied: all processors can take int16 there."""
    written, otherwise = set[str](), set[str]()
    for op in graph.operators:
        adds = isinstance(op, Conv | Add | Assemble)
        written |= {tensor.name for tensor in outputs(op) if adds}
        otherwise |= {tensor.name for tensor in op.inputs if not adds}
        if isinstance(op, Conv):
            otherwise.add(op.input.name)
    return frozenset(written - otherwise)


def _with_halo(layout: Layout, op: Conv) -> Layout:
    top, left = op.window.pad
    rows, columns = op.window.reach(op.output.height, op.output.width)
    right, bottom = columns - left - layout.width, rows - top - layout.height
    return replace(
        layout,
        top=max(layout.top, top),
        bottom=max(layout.bottom, bottom),
        side=max(layout.side, left, right),
    )
