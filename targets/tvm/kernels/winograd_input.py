"""Transforms a convolution's input, tile by tile, for Winograd's minimal filters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import gcd
from typing import Any, ClassVar

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr
from targets.tvm.kernels.minimal_filter import MinimalFilter, TileFilter, transform
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.tiling import Tiling

_APART = 32
"""Elements between the planes of two points, so that they are not at the same places of a cache."""


@dataclass(frozen=True, kw_only=True)
class WinogradInput(RowKernel):
    """Writes int16 [point][tile][channel]; work items are the rows of tiles of a map.

    `reach`: rows and columns that the convolution reads, padding included. Tiles that go beyond it see its
    last row or column there again: those results are not used.
    """

    tiling: Tiling
    reach: tuple[int, int]
    channels: int
    x: Strides
    written: ClassVar[str] = "transformed"

    @property
    def lanes(self) -> int:
        """Channels that are transformed together."""
        return gcd(self.channels, 2 * self.isa.lanes)

    @property
    def plane(self) -> int:
        """Elements from one point to the next, if all tiles are transformed."""
        return self.plane_of(self.tiling.tiles)

    def plane_of(self, tiles: int) -> int:
        """Elements from one point of so many tiles to the next."""
        return tiles * self.channels + _APART

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return 2 * self.tiling.tile.points * self.plane

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        words, first = k.view("y", "int16"), tirx.const(0, "int64")
        for rows in self.tiling.rows.runs():
            with k.items_between(rows.first, rows.first + rows.count) as row:
                for columns in self.tiling.columns.runs():
                    with k.loop(columns.count, columns.first) as column:
                        tile = TileFilter(rows.filter, columns.filter)
                        self.emit(k, words, (row, column), tile, first, self.plane)
        return k.function(name)

    def emit(
        self, k: Emitter, words: Buffer, at: tuple[Expr, Expr], tile: TileFilter, first: Expr, plane: int
    ) -> None:
        """Transform the tile of x at a row and a column of tiles. The tile `first` is the first in `words`.

        plane: elements from one point to the next.
        """
        row, column = at
        read = self.reader(k, row, column, tile)
        with k.loop(self.channels // self.lanes) as vector:
            channel = k.let(vector * self.lanes)
            found = transform(k, tile.rows.inputs, tile.columns.inputs, partial(read, channel))
            for i, values in enumerate(found):
                for j, value in enumerate(values):
                    number = row * self.tiling.columns.with_point(j) + column - first
                    point = (i * self.tiling.columns.filter.points + j) * plane
                    k.store(words, number * self.channels + channel + point, value, self.lanes)

    def reader(
        self, k: Emitter, row: Expr, column: Expr, tile: TileFilter
    ) -> Callable[[Expr, int, int], Expr]:
        """Return what reads channels from one on, of a row and a column of a tile."""
        rows, columns = self.places(k, row, 0, tile.rows), self.places(k, column, 1, tile.columns)

        def read(channel: Expr, i: int, j: int) -> Expr:
            stored = k.load(k.x, rows[i] + columns[j] + channel, self.lanes)
            return k.let(stored.astype(f"int16x{self.lanes}"))

        return read

    def places(self, k: Emitter, tile: Expr, axis: int, one: MinimalFilter, step: int = 1) -> list[Expr]:
        """Bytes from the first row, or column, to each that a tile reads: `step` for each of its points."""
        stride, reach = (self.x.row, self.x.pixel)[axis], self.reach[axis]
        line = (self.tiling.rows, self.tiling.columns)[axis]
        begin = line.whole - 1 if one == line.filter else line.whole
        first, last = tile * (line.filter.outputs * step), tirx.const(reach - 1, "int64")
        inside = (begin * line.filter.outputs + one.points) * step <= reach
        places = [first + i for i in range(one.points * step)]
        return [k.let((place if inside else tirx.min(place, last)) * stride) for place in places]
