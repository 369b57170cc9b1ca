"""Tables of figures in the terminal: side by side where there is room, else one below the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NARROW = 72
"""Columns below which a table that does not fit on one line a row is written as lines."""
FIGURE = 32
"""Letters up to which a cell is a figure or a name, which is never broken; longer ones are sentences."""
NAMES = 15
"""The least width of the first column, so that tables below each other look alike."""
GAP = 3


@dataclass(frozen=True)
class ColumnRoom:
    """The width at which no figure, name or word of a column breaks, and the one at which nothing wraps."""

    least: int
    most: int


class FigureTable:
    """Named rows of cells. The first column's heading is what the table is about."""

    def __init__(self, title: str, *columns: str, caption: str = "") -> None:
        self.title = title
        self.columns = columns
        self.caption = caption
        self.rows: list[tuple[str | Text, tuple[str | Text, ...]]] = []

    def add_row(self, name: str | Text, *cells: str | Text) -> None:
        """Add a row; cells that are missing at its end are empty."""
        self.rows.append((name, cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Choose the form by the room there is."""
        rooms = self._rooms()
        width = options.max_width - GAP * len(rooms) + GAP - 2  # a space at either end
        whole = sum(room.most for room in rooms) <= width
        widths = _shared_out(rooms, width) if whole or options.max_width >= NARROW else None
        if widths is None:
            yield from self._lines()
        else:
            yield self._table(widths)
        if self.caption:
            yield Text(self.caption, style="dim")

    def _rooms(self) -> list[ColumnRoom]:
        names = [str(name) for name, _ in self.rows]
        cells = [
            [str(cells[number]) for _, cells in self.rows if number < len(cells)]
            for number in range(len(self.columns))
        ]
        first = _room(self.title, names, 0)
        others = [_room(title, cell, FIGURE) for title, cell in zip(self.columns, cells, strict=True)]
        return [ColumnRoom(max(first.least, NAMES), max(first.most, NAMES)), *others]

    def _table(self, widths: Sequence[int]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(self.title, style="bold", header_style="bold", width=widths[0])
        for column, width in zip(self.columns, widths[1:], strict=True):
            table.add_column(column, justify="right" if column else "left", overflow="fold", width=width)
        for name, cells in self.rows:
            table.add_row(name, *cells)
        return table

    def _lines(self) -> Iterator[RenderableType]:
        if self.title:
            yield Text(f"\n{self.title}", style="bold underline")
        for name, cells in self.rows:
            yield Text.assemble(name) if isinstance(name, Text) else Text(name, style="bold")
            for column, cell in zip(self.columns, cells, strict=False):
                if cell:
                    yield Padding(Text.assemble((f"{column} " if column else "", "dim"), cell), (0, 0, 0, 2))


def _room(title: str, cells: Sequence[str], unbroken: int) -> ColumnRoom:
    """Return the room of a column in which a line of up to `unbroken` letters is not broken."""
    lines = [line for cell in cells for line in cell.splitlines()]
    words = [word for line in (title, *lines) for word in line.split()]
    whole = [line for line in lines if cell_len(line) <= unbroken]
    return ColumnRoom(
        least=max(map(cell_len, (*words, *whole)), default=0),
        most=max(map(cell_len, (title, *lines)), default=0),
    )


def _shared_out(rooms: Sequence[ColumnRoom], width: int) -> list[int] | None:
    """Give each column its least width, then widen those that lack the least. None: there is no room."""
    widths = [room.least for room in rooms]
    left = width - sum(widths)
    if left < 0:
        return None
    for number in sorted(range(len(rooms)), key=lambda n: rooms[n].most - rooms[n].least):
        more = min(left, rooms[number].most - widths[number])
        widths[number] += more
        left -= more
    return widths
