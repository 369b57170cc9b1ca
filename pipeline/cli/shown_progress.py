"""Progress as bars on a terminal, or as lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from pipeline.progress import Advance


class ShownProgress:
    """Bars while work runs on a terminal, elsewhere a line when it begins. Messages stay visible."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        """Show a bar, or without a total a spinner, until the context ends."""
        if not self._console.is_terminal:
            self.say(f"{what} ..." if total is None else f"{what} ({total}) ...")
            yield lambda _: None
            return
        columns = [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()]
        if total is not None:
            columns[2:] = [BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        with Bars(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(escape(what), total=total)
            yield lambda done: bars.advance(task, done)

    def say(self, line: str) -> None:
        """Print a line."""
        self._console.print(escape(line), highlight=False, soft_wrap=True)
