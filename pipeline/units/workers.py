"""Workers that compute units: this process, or those of the cluster that `--on` names."""

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from calibration.errors import CalibrationError
from pipeline.errors import PipelineError
from pipeline.progress import Advance, Progress
from pipeline.units.unit import Failure, FinishedUnit, Unit
from targets.errors import DeviceError, TargetError

R = TypeVar("R")
EXPECTED = (PipelineError, TargetError, CalibrationError)
"""Errors that the user can fix; anything else is a bug of ours."""
HERE = "this process"


class Workers(Protocol):
    """Does units, in any order."""

    @property
    def count(self) -> int:
        """How many units can be done at once."""
        ...

    def run(self, units: Sequence[Unit[R]], progress: Progress) -> Iterator[FinishedUnit[R]]:
        """Do all units and yield each as it ends. A unit that fails does not stop the others."""
        ...


class Here:
    """This process does the units, one after the other."""

    count = 1

    def run(self, units: Sequence[Unit[R]], progress: Progress) -> Iterator[FinishedUnit[R]]:
        """Do all units in their order. Ctrl-C ends it; what is done is kept."""
        for unit in units:
            yield done_by(unit, HERE, progress)


def done_by(unit: Unit[R], worker: str, progress: Progress) -> FinishedUnit[R]:
    """Do a unit in this process, and return how it ended."""
    kept = KeptLines(progress)
    start = time.perf_counter()
    try:
        return FinishedUnit(unit, worker, unit.run(kept), time.perf_counter() - start)
    except EXPECTED as error:
        failure = Failure(str(error), kept.text, by_board=isinstance(error, DeviceError))
    except Exception as error:  # a bug: its log has to reach the one who can mend it
        message = f"{type(error).__name__}: {error}"
        failure = Failure(message, f"{kept.text}{traceback.format_exc()}", is_bug=True)
    return FinishedUnit(unit, worker, None, time.perf_counter() - start, failure)


class KeptLines:
    """Passes progress on and keeps the lines that were said, for the log of a unit."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lines: list[str] = []

    @property
    def text(self) -> str:
        """All lines."""
        return "".join(f"{line}\n" for line in self._lines)

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        """Pass the task on."""
        with self._progress.task(what, total) as advance:
            yield advance

    def say(self, line: str) -> None:
        """Keep the line and pass it on."""
        self._lines.append(line)
        self._progress.say(line)
