"""Transforms a convolution's input, tile by tile, for Winograd's minimal filters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import gcd
from typing import Any, ClassVar

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr
from targets.tvm.kernels.minimal_filter import TileFilter, transform
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides

_APART = 32
"""Elements between the planes of two points, so that they are not at the same places of a cache."""


@dataclass(frozen=True, kw_only=True)
class WinogradInput(RowKernel):
    """Writes int16 [point][tile][channel]; work items are the `height` rows of tiles of a map.

    `reach`: rows and columns that the convolution reads, padding included. Tiles that go beyond it see its
    last row or column there again: those results are not used.
    """

    tile: TileFilter
    width: int
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
        """Elements from one point to the next."""
        return self.height * self.width * self.channels + _APART

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return 2 * self.tile.points * self.plane

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        words = k.view("y", "int16")
        with k.items() as row, k.loop(self.width) as column:
            self.emit(k, words, row, column)
        return k.function(name)

    def emit(self, k: Emitter, words: Buffer, row: Expr, column: Expr) -> None:
        """Transform one tile of x."""
        read = self.reader(k, row, column)
        y = k.let((row * self.width + column) * self.channels)
        with k.loop(self.channels // self.lanes) as vector:
            channel = k.let(vector * self.lanes)
            found = transform(k, self.tile.rows.inputs, self.tile.columns.inputs, partial(read, channel))
            for point, value in enumerate(value for values in found for value in values):
                k.store(words, y + channel + point * self.plane, value, self.lanes)

    def reader(self, k: Emitter, row: Expr, column: Expr) -> Callable[[Expr, int, int], Expr]:
        """Return what reads channels from one on, of a row and a column of a tile."""
        rows, columns = self.places(k, row, 0), self.places(k, column, 1)

        def read(channel: Expr, i: int, j: int) -> Expr:
            stored = k.load(k.x, rows[i] + columns[j] + channel, self.lanes)
            return k.let(stored.astype(f"int16x{self.lanes}"))

        return read

    def places(self, k: Emitter, tile: Expr, axis: int, step: int = 1) -> list[Expr]:
        """Bytes from the first row, or column, to each that a tile reads: `step` for each of its points."""
        one = (self.tile.rows, self.tile.columns)[axis]
        stride, reach = (self.x.row, self.x.pixel)[axis], self.reach[axis]
        tiles = (self.height, self.width)[axis]
        first, last = tile * (one.outputs * step), tirx.const(reach - 1, "int64")
        inside = ((tiles - 1) * one.outputs + one.points) * step <= reach
        places = [first + i for i in range(one.points * step)]
        return [k.let((place if inside else tirx.min(place, last)) * stride) for place in places]
