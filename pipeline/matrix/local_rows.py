"""Builds rows on this machine, one after the other, in a process of their own."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess, parent_process
from typing import Protocol

from pipeline.matrix.planned_rows import PlannedRow
from pipeline.matrix.row_build import RowOutcome, build_row
from pipeline.progress import Advance, Progress


class RowRunner(Protocol):
    """Builds rows somewhere, in any order, perhaps several at once.

    All of them share one store. A row that fails, or whose process dies, is an outcome and stops no other.
    """

    def run(self, rows: Sequence[PlannedRow], progress: Progress) -> Iterator[tuple[PlannedRow, RowOutcome]]:
        """Yield each row with its outcome as soon as it has ended."""
        ...


@dataclass
class LocalRows:
    """Builds rows here. One process builds row after row, so that it loads its libraries once."""

    _child: BaseProcess | None = None
    _pipe: "Connection[PlannedRow, RowOutcome | str] | None" = None

    def run(self, rows: Sequence[PlannedRow], progress: Progress) -> Iterator[tuple[PlannedRow, RowOutcome]]:
        """See RowRunner."""
        try:
            for number, row in enumerate(rows, start=1):
                with progress.task(f"{number} of {len(rows)}: {row.name}", None):
                    outcome = self._built(row, progress)
                yield row, outcome
        finally:
            self._end()

    def _built(self, row: PlannedRow, progress: Progress) -> RowOutcome:
        child, pipe = self._started()
        try:
            pipe.send(row)
            while True:
                said = pipe.recv()
                if isinstance(said, RowOutcome):
                    return said
                progress.say(f"{row.name}: {said}")
        except (EOFError, ConnectionResetError, BrokenPipeError):
            child.join()
            self._end()
            return RowOutcome(problem=_why_it_died(child.exitcode))

    def _started(self) -> "tuple[BaseProcess, Connection[PlannedRow, RowOutcome | str]]":
        if self._child is not None and not self._child.is_alive():
            self._end()  # it was killed while it had nothing to do
        if self._child is None or self._pipe is None:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            self._child = context.Process(target=_serve, args=(theirs,), name="edgec matrix", daemon=False)
            self._child.start()
            theirs.close()  # so that this side notices when the process ends
            self._pipe = ours
        return self._child, self._pipe

    def _end(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._child is not None:
            self._child.terminate()
            self._child.join()
        self._child = self._pipe = None


class _Sent:
    """Progress of a row, sent to the parent process."""

    def __init__(self, pipe: "Connection[RowOutcome | str, PlannedRow]") -> None:
        self._pipe = pipe

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's names
        """Show nothing: the row is shown as one task."""
        yield lambda _: None

    def say(self, line: str) -> None:
        """Send a line."""
        self._pipe.send(line)


def _serve(pipe: "Connection[RowOutcome | str, PlannedRow]") -> None:
    """Build the rows that the parent sends until it closes the connection; end at once if the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            row = pipe.recv()
        except EOFError:
            return
        pipe.send(build_row(row, _Sent(pipe)))


def _end_with_parent() -> None:
    """End this process at once when its parent has ended."""
    parent = parent_process()
    assert parent is not None  # noqa: S101 - `_serve` runs in a child
    parent.join()
    os._exit(1)  # a build that is killed leaves nothing half-written


def _why_it_died(code: int | None) -> str:
    if code is not None and code < 0:
        guess = ", as the kernel does when memory runs out" if code == -signal.SIGKILL else ""
        return f"The process that built it was ended by signal {-code}{guess}. Run the same command again."
    return (
        f"The process that built it ended with exit code {code}: a bug of edgec's. Its traceback is"
        " above, and `edgec build` with the same settings repeats it."
    )
