"""Pooling: one number for each window of each channel, or for each pixel."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, centred, stored
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Array, Bytes, Floats, Tensor


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Largest value in each window; padding never wins. The grid does not change."""

    node: str
    input: Tensor
    output: Tensor
    window: SlidingWindow

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Bytes:
        """The largest integer is the largest number."""
        x = values[self.input.name]
        result = np.zeros((len(x), self.output.height, self.output.width, self.output.channels), np.uint8)
        for row in range(self.output.height):
            for column in range(self.output.width):
                result[:, row, column] = _inside(self.window, x, row, column).max(axis=(1, 2))
        return result


@dataclass(frozen=True, eq=False)
class AveragePool:
    """acc is the sum of x - zx over the n cells of a window inside the image; m is multipliers[n - 1]."""

    node: str
    input: Tensor
    output: Tensor
    window: SlidingWindow
    multipliers: Floats
    clip: Clip = UNCLIPPED
    real: bool = False
    """The result is float32(acc) * m, in float32; output has no grid."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Array:
        """Sum the cells, and scale by how many they are."""
        x = values[self.input.name]
        value = np.zeros((len(x), self.output.height, self.output.width, self.output.channels), np.float32)
        for row in range(self.output.height):
            for column in range(self.output.width):
                cells = centred(self.input, _inside(self.window, x, row, column))
                count = cells.shape[1] * cells.shape[2]
                value[:, row, column] = (
                    cells.sum(axis=(1, 2)).astype(np.float32) * self.multipliers[count - 1]
                )
        return value if self.real else stored(value, self.output, self.clip)


@dataclass(frozen=True, eq=False)
class ChannelMax:
    """Largest value of each pixel. The grid does not change."""

    node: str
    input: Tensor
    output: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Bytes:
        """The largest integer is the largest number."""
        found: Bytes = values[self.input.name].max(axis=3, keepdims=True)
        return found


Pooling = MaxPool | AveragePool | ChannelMax


def _inside(window: SlidingWindow, x: Bytes, row: int, column: int) -> Bytes:
    """The part of a window that lies inside the image."""
    (kh, kw), (sh, sw), (ph, pw) = window.kernel, window.stride, window.pad
    top, left = row * sh - ph, column * sw - pw
    return x[:, max(top, 0) : top + kh, max(left, 0) : left + kw]
