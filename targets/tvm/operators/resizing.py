"""Operators that make a map larger or smaller, or take parts of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, centred, stored
from targets.tvm.tensors import Array, Bytes, Int32s, Steps, Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Between which two rows (or columns) of the input each of the output is. Shares are in parts."""

    first: Int32s
    second: Int32s
    share: Int32s
    parts: int

    def between(self, x: Int32s, axis: int) -> Int32s:
        """The two that lie there along `axis`, each times its parts."""
        share = self.share.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        first, second = np.take(x, self.first, axis), np.take(x, self.second, axis)
        found: Int32s = first * (self.parts - share) + second * share
        return found


@dataclass(frozen=True, eq=False)
class Pick:
    """The pixels in these rows and columns of the input, and of each these channels.

    The nearest pixels of a resize, slices, splits, and channels in another order. The grid does not change.
    """

    node: str
    input: Tensor
    output: Tensor
    rows: Int32s
    columns: Int32s
    channels: Int32s

    @property
    def all_channels(self) -> bool:
        """Whether each pixel is taken as it is."""
        return np.array_equal(self.channels, np.arange(self.input.channels))

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Bytes:
        """Copy them."""
        found: Bytes = values[self.input.name][:, self.rows][:, :, self.columns][..., self.channels]
        return found


@dataclass(frozen=True, eq=False)
class Interpolate:
    """acc = sum of the four pixels' x - zx, times their shares in rows and columns: below 2**24."""

    node: str
    input: Tensor
    output: Tensor
    rows: Neighbours
    columns: Neighbours
    multiplier: float
    clip: Clip = UNCLIPPED

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Steps:
        """First between rows, then between columns: sums of integers, in any order the same."""
        between_rows = self.rows.between(centred(self.input, values[self.input.name]), axis=1)
        total = self.columns.between(between_rows, axis=2)
        return stored(total.astype(np.float32) * np.float32(self.multiplier), self.output, self.clip)


@dataclass(frozen=True, eq=False)
class PixelShuffle:
    """Channels become pixels: block x block of them from each pixel of the input. The grid does not change.

    y[r * block + a, c * block + b, k] = x[r, c, channel], which is (a * block + b) * K + k, or with
    `channels_first` k * block^2 + a * block + b.
    """

    node: str
    input: Tensor
    output: Tensor
    block: int
    channels_first: bool = False

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Bytes:
        """Move the channels."""
        return pixels_of_channels(values[self.input.name], self.block, self.channels_first)


Resize = Pick | Interpolate | PixelShuffle


def pixels_of_channels(x: Array, block: int, channels_first: bool = False) -> Array:
    """Return [N, H * block, W * block, C / block^2]: each pixel's channels as block x block pixels."""
    count, height, width, channels = x.shape
    size = (channels // block**2, block, block) if channels_first else (block, block, channels // block**2)
    parts = x.reshape(count, height, width, *size)
    order = (0, 1, 4, 2, 5, 3) if channels_first else (0, 1, 3, 2, 4, 5)
    return parts.transpose(order).reshape(count, height * block, width * block, -1)
