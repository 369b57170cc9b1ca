"""How the tiles of minimal filters cover a map: in rows and columns, with fewer results at its end."""

from collections.abc import Iterator
from dataclasses import dataclass

from targets.tvm.kernels.minimal_filter import MinimalFilter, TileFilter


@dataclass(frozen=True)
class TileRun:
    """`count` tiles of one filter beside each other, from the tile `first` on."""

    filter: MinimalFilter
    first: int
    count: int


@dataclass(frozen=True)
class PointRun:
    """`count` points, from `first` on, that `tiles` tiles along a side have."""

    first: int
    count: int
    tiles: int


@dataclass(frozen=True)
class TileLine:
    """Tiles along one side of a map of `size` results: `whole` ones, then one of `last` if there is one."""

    size: int
    filter: MinimalFilter
    whole: int
    last: MinimalFilter | None = None

    @staticmethod
    def cover(one: MinimalFilter, size: int, shorter: bool) -> "TileLine":
        """Cover `size` results. `shorter`: the last tile has fewer points where that is enough."""
        whole, rest = divmod(size, one.outputs)
        found = [short for short in one.shorter if short.outputs >= rest] if shorter and rest else []
        if found:
            return TileLine(size, one, whole, min(found, key=lambda short: short.points))
        return TileLine(size, one, -(-size // one.outputs))

    @property
    def tiles(self) -> int:
        """All tiles."""
        return self.whole + (self.last is not None)

    @property
    def points(self) -> int:
        """The points of all tiles."""
        return self.whole * self.filter.points + (self.last.points if self.last else 0)

    def with_point(self, point: int) -> int:
        """How many tiles have a point."""
        return self.whole + (self.last is not None and point < self.last.points)

    def runs(self) -> Iterator[TileRun]:
        """Tiles of the same filter."""
        if self.whole:
            yield TileRun(self.filter, 0, self.whole)
        if self.last:
            yield TileRun(self.last, self.whole, 1)

    def point_runs(self) -> Iterator[PointRun]:
        """Points that as many tiles have."""
        kept = self.last.points if self.last else self.filter.points
        yield PointRun(0, kept, self.tiles)
        if self.whole and kept < self.filter.points:
            yield PointRun(kept, self.filter.points - kept, self.whole)


@dataclass(frozen=True)
class Tiling:
    """The tiles of a map. Those that have a point (i, j) lie row by row: see `place`."""

    rows: TileLine
    columns: TileLine

    @staticmethod
    def cover(tile: TileFilter, height: int, width: int, shorter: bool) -> "Tiling":
        """Cover a map of results."""
        return Tiling(
            TileLine.cover(tile.rows, height, shorter), TileLine.cover(tile.columns, width, shorter)
        )

    @property
    def tile(self) -> TileFilter:
        """The filters of whole tiles."""
        return TileFilter(self.rows.filter, self.columns.filter)

    @property
    def tiles(self) -> int:
        """All tiles."""
        return self.rows.tiles * self.columns.tiles

    @property
    def points(self) -> int:
        """The points of all tiles."""
        return self.rows.points * self.columns.points

    @property
    def is_even(self) -> bool:
        """Whether all tiles have the same points."""
        return self.rows.last is None and self.columns.last is None
