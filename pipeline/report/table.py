"""Tables of figures in the terminal: side by side where there is room, else one below the other."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NARROW = 72
"""Columns below which a table that does not fit is written as lines: a figure is never cut or broken."""


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
        table = self._table()
        unbounded = options.update(max_width=1000)
        fits = Measurement.get(console, unbounded, table).maximum <= options.max_width
        if fits or options.max_width >= NARROW:
            yield table
        else:
            yield from self._lines()
        if self.caption:
            yield Text(self.caption, style="dim")

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column(self.title, style="bold", header_style="bold", min_width=15)
        for column in self.columns:
            table.add_column(column, justify="right" if column else "left", overflow="fold")
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
