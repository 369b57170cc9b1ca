"""How the command line shows progress and results.

A command imports what it needs when it runs, so that help and usage errors are fast.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.progress import Progress, Silent


def make_progress(as_json: bool) -> Progress:
    """Return a progress display on stderr, or none if the output is for machines."""
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
        table.add_row(*map(without_control_characters, row))
    Console().print(table)


def without_control_characters(text: str) -> str:
    r"""Return text as a terminal shows it and does nothing else: ESC becomes \x1b. Lines stay lines."""
    return "".join(c if c in "\n\t" or not _is_control(c) else f"\\x{ord(c):02x}" for c in text)


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0


def write_text(file: Path, text: str, option: str) -> None:
    """Write a file that the user chose with `option`. Raises StorageError if that fails."""
    from pipeline.cache.atomic import replacing
    from pipeline.cache.store import writing

    with writing(file.parent, option), replacing(file) as scratch:
        scratch.write_text(text, encoding="utf-8")
