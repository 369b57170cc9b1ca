"""How a convolution is cut into blocks, and the name of one that blocks are looked up by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tile:
    """Largest block sizes: rows and columns of output pixels, vectors of channels, granules unrolled.

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
class Cut:
    """`count` pieces of `size` rows or columns, one behind the other from `first` on."""

    first: int
    count: int
    size: int


def cut(length: int, most: int) -> tuple[Cut, ...]:
    """As few pieces of at most `most` as cover `length` exactly; their sizes differ by one, if at all."""
    count = -(-length // most)
    size = -(-length // count)
    smaller = count * size - length
    larger = count - smaller
    pieces = Cut(0, larger, size), Cut(larger * size, smaller, size - 1)
    return tuple(piece for piece in pieces if piece.count)


def cut_columns(width: int, tile: Tile, rows: int) -> tuple[Cut, ...]:
    """Cut blocks of `rows` rows: where these are fewer than the tile's, as many more columns."""
    return cut(width, max(tile.columns, tile.pixels // rows))


def regions(height: int, width: int, tile: Tile) -> Iterator[tuple[Cut, Cut]]:
    """Rows and columns of the blocks that cover a map."""
    return ((rows, columns) for rows in cut(height, tile.rows) for columns in cut_columns(width, tile, rows.size))


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
