"""How a convolution is cut into blocks, and the name of one that blocks are looked up by."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tile:
    """Block sizes: rows and columns of output pixels, vectors of channels, granules unrolled.

    `stay`: what is used again before the next is fetched, a block's weights or a block's rows of pixels.
    """

    rows: int
    columns: int
    vectors: int
    unroll: int = 1
    stay: Literal["weights", "pixels"] = "weights"

    @property
    def pixels(self) -> int:
        """Output pixels of a block."""
        return self.rows * self.columns


@dataclass(frozen=True)
class ConvShape:
    """What block sizes depend on. `channels` as stored, `granules` a run, `runs` a pixel.

    `group`: output channels that share an input window; a block must not mix windows. `overlap`: how many
    taps that are read together need neighbouring pixels.
    """

    height: int
    width: int
    channels: int
    granules: int
    runs: int
    group: int
    overlap: int = 1
    stride: int = 1
    residual: bool = False

    @property
    def name(self) -> str:
        """What databases call it."""
        plain = f"{self.height}x{self.width} k{self.channels} g{self.granules}x{self.runs} s{self.stride}"
        group = "" if self.group == self.channels else f" group{self.group}"
        return plain + group + (" +r" if self.residual else "")
