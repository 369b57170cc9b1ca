"""How the command line shows progress and results.

What a command needs is imported when it runs: showing help and refusing a wrong word load none of it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.progress import Progress, Silent


def make_progress(as_json: bool) -> Progress:
    """Return where progress goes: to stderr, or nowhere if a machine reads."""
    if as_json:
        return Silent()
    from rich.console import Console

    from pipeline.cli.shown_progress import ShownProgress

    return ShownProgress(Console(stderr=True))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of cells under their headings. A cell may hold rich's markup."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*headings)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def write_text(file: Path, text: str, option: str) -> None:
    """Write a file that the user named with `option`. Raises StorageError if that cannot be done."""
    from pipeline.cache.atomic import replacing
    from pipeline.cache.store import writing

    with writing(file.parent, option), replacing(file) as scratch:
        scratch.write_text(text, encoding="utf-8")
