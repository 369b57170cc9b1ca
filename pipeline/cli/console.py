"""How the command line shows progress and results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

from pipeline.cache.atomic import replacing
from pipeline.cache.store import writing
from pipeline.progress import Advance, Progress, Silent


class ShownProgress:
    """Bars while work runs, on a terminal; elsewhere a line when it begins. Lines that are said stay."""

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


def make_progress(as_json: bool) -> Progress:
    """Return where progress goes: to stderr, or nowhere if a machine reads."""
    return Silent() if as_json else ShownProgress(Console(stderr=True))


def write_text(file: Path, text: str, option: str) -> None:
    """Write a file that the user named with `option`. Raises StorageError if that cannot be done."""
    with writing(file.parent, option), replacing(file) as scratch:
        scratch.write_text(text, encoding="utf-8")
