"""How a convolution is cut into blocks, and its name in tuning databases."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Tile:
    """Largest block sizes: rows and columns of output pixels, vectors of channels, granules unrolled.

    `stay`: the operand that stays in the cache for reuse, a block's weights or a block's rows of pixels.
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


def cut(length: int, most: int, unit: int = 1) -> tuple[Cut, ...]:
    """As few pieces of at most `most` as cover `length`; their sizes differ by a `unit`, if at all.

    If `length` is not a multiple of the unit, the last piece goes beyond it.
    """
    length, most = -(-length // unit), most // unit
    count = -(-length // most)
    size = -(-length // count)
    smaller = count * size - length
    larger = count - smaller
    pieces = (0, larger, size), (larger * size, smaller, size - 1)
    return tuple(Cut(first * unit, count, size * unit) for first, count, size in pieces if count)


def cut_columns(width: int, tile: Tile, rows: int) -> tuple[Cut, ...]:
    """Cut blocks of `rows` rows: where these are fewer than the tile's, as many more columns."""
    return cut(width, max(tile.columns, tile.pixels // rows))


def regions(height: int, width: int, tile: Tile, unit: int) -> Iterator[tuple[Cut, Cut]]:
    """Rows and columns of the blocks that cover a map, rows in multiples of `unit`."""
    for rows in cut(height, tile.rows, unit):
        for columns in cut_columns(width, tile, rows.size):
            yield rows, columns


@dataclass(frozen=True)
class ConvShape:
    """The facts of a convolution that block sizes depend on.

    `channels` as stored, `granules` a run, `runs` a pixel.
    `group`: output channels that share an input window; a block must not mix windows. `overlap`: how many
    taps that are read together need neighbouring pixels. `paired`: two rows lie beside each other.
    `split`: top bits of bytes are multiplied by themselves. `chained`: blocks of four channels, see
    `kernels.chained_products`. `words`: activations are int16.
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
    paired: bool = False
    split: bool = False
    chained: bool = False
    words: bool = False

    @property
    def row_unit(self) -> int:
        """Rows that a block has a multiple of."""
        return 2 if self.paired else 1

    @property
    def name(self) -> str:
        """Its name in databases."""
        plain = f"{self.height}x{self.width} k{self.channels} g{self.granules}x{self.runs} s{self.stride}"
        group = "" if self.group == self.channels else f" group{self.group}"
        form = (" paired" if self.paired else "") + (" split" if self.split else "")
        form += " chained" if self.chained else ""
        return plain + group + (" +r" if self.residual else "") + form
