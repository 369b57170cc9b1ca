"""How the command line shows progress and results.

Everything that is printed goes through `say`, `say_json` or `terminal`: what files hold reaches a terminal as
text, never as commands to it. A command imports what it needs when it runs, so that help and usage errors are
fast.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.progress import Progress, Silent
from targets.runtime.printable import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console


def say(text: object, *, nl: bool = True, err: bool = False) -> None:
    """Print text for people, on stderr if `err`, and its newline if `nl`."""
    typer.echo(printable(str(text)), nl=nl, err=err)


def say_json(text: str, *, nl: bool = True) -> None:
    """Print JSON text; control characters, which only its strings can hold, are written as escapes."""
    typer.echo(printable_json(text), nl=nl)


def terminal(stderr: bool = False) -> "Console":
    """Return rich's console, for tables and progress."""
    from pipeline.cli.printable_console import PrintableConsole

    return PrintableConsole(stderr=stderr)


def kind_of(console: "Console") -> str:
    """Return all of a console that decides the text of what is printed there."""
    shape = (console.width, console.color_system, console.is_terminal, console.is_dumb_terminal)
    return str((*shape, console.encoding, console.no_color, console.legacy_windows))


def say_text(text: str, console: "Console") -> None:
    """Print text that a console of this kind has made."""
    console.file.write(text)
    console.file.flush()


def make_progress(as_json: bool) -> Progress:
    """Return a progress display on stderr, or none if the output is for machines."""
    if as_json:
        return Silent()
    from pipeline.cli.shown_progress import ShownProgress

    return ShownProgress(terminal(stderr=True))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of cells under their headings. A cell may hold rich's markup."""
    from rich.table import Table

    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    terminal().print(table)


def write_text(file: Path, text: str, option: str) -> None:
    """Write a file that the user chose with `option`. Raises StorageError if that fails."""
    from pipeline.cache.atomic import replacing
    from pipeline.cache.store import writing

    with writing(file.parent, option), replacing(file) as scratch:
        scratch.write_text(text, encoding="utf-8")
