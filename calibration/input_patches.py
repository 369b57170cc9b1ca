"""How a layer cuts its input into patches: one for each position of its kernel."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import attribute

SAMPLED = 64
"""At most this many patches of an image, evenly spread, are sampled."""


@dataclass(frozen=True)
class InputPatches:
    """Of maps [n, C, H, W]; each patch has G * D values, D = C / G * R * S. A Gemm reads maps of one pixel.

    pads: above, left, below, right.
    """

    groups: int
    width: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]

    @classmethod
    def of(cls, node: onnx.NodeProto, weight: tuple[int, ...], padded: bool) -> Self:
        """Return those of a Conv or Gemm with weights of that shape [K, C / G, R, S]; `padded`: before it."""
        down, across = weight[2:] or (1, 1)
        return cls(
            attribute(node, "group", 1),
            int(np.prod(weight[1:])),
            (down, across),
            tuple(attribute(node, "strides", [1, 1])),
            tuple(attribute(node, "dilations", [1, 1])),
            (0, 0, 0, 0) if padded else tuple(attribute(node, "pads", [0, 0, 0, 0])),
        )

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """How often the kernel fits into a map, down and across."""
        top, left, bottom, right = self.pads
        rows = (height + top + bottom - self._reach[0]) // self.strides[0] + 1
        return rows, (width + left + right - self._reach[1]) // self.strides[1] + 1

    def sampled(self, maps: NDArray[Any], padding: int) -> NDArray[Any]:
        """[samples, G, D]: at most SAMPLED positions of each image, evenly spread; `padding` beside maps."""
        padded = self._padded(maps, padding)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self._reach, axis=(2, 3))
        down, across = self.strides
        windows = windows[:, :, ::down, ::across, :: self.dilations[0], :: self.dilations[1]]
        rows, columns = windows.shape[2:4]
        position = np.arange(0, rows * columns, -(-rows * columns // SAMPLED))
        some = windows.transpose(0, 2, 3, 1, 4, 5)[:, position // columns, position % columns]
        return some.reshape(len(maps) * len(position), self.groups, self.width)

    def sums(self, maps: NDArray[np.float32]) -> NDArray[np.int64]:
        """int64 [G * D]: the sum of integers over images and positions, rows first and then columns."""
        padded, (rows, columns) = self._padded(maps, 0), self.positions(*maps.shape[2:])
        (height, width), (down, across), (below, beside) = self.kernel, self.strides, self.dilations
        sums = np.empty((padded.shape[1], height, width), np.int64)
        for r in range(height):
            first = r * below
            lines = _exact_sum(padded[:, :, first : first + (rows - 1) * down + 1 : down], 2)
            for s in range(width):
                first = s * beside
                of_image = lines[:, :, first : first + (columns - 1) * across + 1 : across].sum(axis=2)
                sums[:, r, s] = of_image.astype(np.int64).sum(axis=0)
        return sums.ravel()

    @property
    def _reach(self) -> tuple[int, int]:
        """The rows and columns that a kernel covers."""
        down, across = ((k - 1) * apart + 1 for k, apart in zip(self.kernel, self.dilations, strict=True))
        return down, across

    def _padded(self, maps: NDArray[Any], padding: int) -> NDArray[Any]:
        top, left, bottom, right = self.pads
        sides = ((0, 0), (0, 0), (top, bottom), (left, right))
        return np.pad(maps, sides, constant_values=padding) if any(self.pads) else maps


def _exact_sum(values: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    """float64: the sum of integers over an axis; the magnitudes add up to less than 2^53."""
    sums: NDArray[np.float64] = values.sum(axis=axis, dtype=np.float64)
    return sums
