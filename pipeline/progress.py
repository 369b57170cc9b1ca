"""The interface through which long-running work reports its progress."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Protocol, Self

Advance = Callable[[int], None]
"""Called with the number of units done since the last call."""


class Progress(Protocol):
    """Receives the progress of long-running work."""

    def task(self, what: str, total: int | None) -> AbstractContextManager[Advance]:
        """Open a task of `total` units (None: unknown), to be advanced until the context ends."""
        ...

    def say(self, line: str) -> None:
        """Show a line of text that stays on the screen."""
        ...


class Silent:
    """Shows nothing: for tests and for output that machines read."""

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's names
        """Ignore the task."""
        yield lambda _: None

    def say(self, line: str) -> None:
        """Ignore the line."""


class OneTask:
    """Shows the tasks of one name that follow each other as a single one, from the first of them on.

    Use it as a context. While the single task is open, tasks of other names are not shown: a terminal has one
    bar at a time.
    """

    def __init__(self, progress: Progress, what: str, total: int) -> None:
        self._progress, self._what, self._total = progress, what, total
        self._stack = ExitStack()
        self._shown: Advance | None = None
        self._done_before = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def skip(self, count: int) -> None:
        """Count units that were done already."""
        if self._shown:
            self._shown(count)
        else:
            self._done_before += count

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        """Advance the single task, if it is one of its name."""
        if what != self._what:
            if self._shown:
                yield lambda _: None
            else:
                with self._progress.task(what, total) as advance:
                    yield advance
            return
        if self._shown is None:
            self._shown = self._stack.enter_context(self._progress.task(what, self._total))
            self._shown(self._done_before)
        yield self._shown

    def say(self, line: str) -> None:
        """Show a line of text."""
        self._progress.say(line)
