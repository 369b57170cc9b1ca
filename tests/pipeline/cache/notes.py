"""A stage that is done at once, for tests of the store."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
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
