"""Units that add numbers: small, and with every way to end."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache.digest import value_digest
from pipeline.errors import DataError
from pipeline.progress import Progress
from targets.errors import DeviceThrottled


@dataclass(frozen=True)
class Sum:
    """Adds its numbers; refuses an empty list, and fails as a bug does for a zero."""

    numbers: tuple[int, ...]
    board: str | None = None
    has_float_bits: bool = False

    @property
    def title(self) -> str:
        return f"sum of {len(self.numbers)}"

    @property
    def digest(self) -> str:
        return value_digest(self.numbers)

    @property
    def inputs(self) -> Mapping[str, str]:
        return {"numbers": self.digest}

    def run(self, progress: Progress) -> int:
        progress.say(f"adding {len(self.numbers)} numbers")
        if not self.numbers:
            raise DataError("There are no numbers. Give some.")
        return sum(number // number * number for number in self.numbers)


@dataclass(frozen=True)
class HeldSum(Sum):
    """Writes into a folder which process computes it, and waits while a file `hold` exists there."""

    folder: Path = Path()

    def run(self, progress: Progress) -> int:
        (self.folder / f"by-{os.getpid()}").touch()
        while (self.folder / "hold").exists():
            time.sleep(0.02)
        return super().run(progress)


@dataclass(frozen=True)
class ThrottledSum(Sum):
    """Runs on a board that throttles."""

    def run(self, progress: Progress) -> int:
        raise DeviceThrottled(f"{self.board} throttled")
