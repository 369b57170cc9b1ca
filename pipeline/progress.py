"""The interface through which long-running work reports its progress."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

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
