"""Small stages for tests of the store, and what the store holds after them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.progress import Progress


@dataclass(frozen=True)
class Note(Stage):
    """Writes a text, and where it was run."""

    name: ClassVar[str] = "note"

    text: str = "hello"
    source: InputFile | None = None

    def run(self, output: Path, progress: Progress) -> None:
        with (output.parent.parent / "runs").open("a") as log:
            log.write(f"{os.getpid()}\n")
        (output / "note.txt").write_text(self.text)


@dataclass(frozen=True)
class Slow(Note):
    """Waits while the store has a file `hold`, with half of its output written."""

    name: ClassVar[str] = "slow"

    def run(self, output: Path, progress: Progress) -> None:
        (output / "half.txt").write_text("half")
        (output.parent.parent / "started").touch()
        while (output.parent.parent / "hold").exists():
            time.sleep(0.01)
        super().run(output, progress)


def runs(store: Store) -> int:
    log = store.root / "runs"
    return len(log.read_text().splitlines()) if log.exists() else 0


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "scratch").iterdir())
