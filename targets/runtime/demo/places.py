"""A limited number of connections: when all places are taken, a client that the demo waits for is closed."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import Callable, Iterator


class Places:
    """At most `most` connections. If all are taken, one that we have waited for longer than `patience`
    seconds is closed.
    """

    def __init__(self, most: int, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._patience, self._clock = most, patience, clock
        self._lock = threading.Lock()
        self._waited_for: dict[socket.socket, float | None] = {}

    def take(self, connection: socket.socket, *, waited_for: bool = False) -> bool:
        """Give a connection a place, closing a slow one if need be; return whether it got one.

        waited_for: it is the other side's turn from the beginning.
        """
        with self._lock:
            slowest = self._slowest() if len(self._waited_for) >= self._most else None
            if slowest is not None:
                del self._waited_for[slowest]
                hang_up(slowest)
            if len(self._waited_for) >= self._most:
                return False
            self._waited_for[connection] = self._clock() if waited_for else None
            return True

    def leave(self, connection: socket.socket) -> None:
        """Take the place back, if the connection still has one."""
        with self._lock:
            self._waited_for.pop(connection, None)

    @contextmanager
    def waiting(self, connection: socket.socket) -> Iterator[None]:
        """Say that the other side is waited for, until it has sent or taken what it should."""
        self._note(connection, self._clock())
        try:
            yield
        finally:
            self._note(connection, None)

    def _note(self, connection: socket.socket, since: float | None) -> None:
        with self._lock:
            if connection in self._waited_for:
                self._waited_for[connection] = since

    def _slowest(self) -> socket.socket | None:
        """Return the connection that has been waited for longest, if that is longer than the patience."""
        since = {one: when for one, when in self._waited_for.items() if when is not None}
        found = min(since, key=since.__getitem__, default=None)
        return found if found is not None and self._clock() - since[found] >= self._patience else None


def hang_up(connection: socket.socket) -> None:
    """End a connection that another thread uses, which sees it at once."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
