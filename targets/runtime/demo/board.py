"""The newest result of a camera, passed from the loop that classifies to the outputs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .overlay import Overlay


@dataclass(frozen=True)
class Moment:
    """One recognised picture, and everything the page and the JSON lines say about it.

    overlay is what is shown; record is ready for JSON. number counts from 1, camera from 0.
    """

    number: int
    overlay: Overlay
    record: dict[str, Any] = field(default_factory=dict)
    camera: int = 0


class Board:
    """Holds the newest moment of a camera. Slow readers miss some; nothing waits for them."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._moment: Moment | None = None
        self._closed = False

    def post(self, moment: Moment) -> None:
        """Replace the newest moment."""
        with self._news:
            self._moment = moment
            self._news.notify_all()

    def close(self) -> None:
        """Release all readers."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    @property
    def closed(self) -> bool:
        """Whether there will be no more."""
        return self._closed

    def newest(self, after: int, timeout: float) -> Moment | None:
        """Wait for a moment later than number `after`; None if there is none within `timeout` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._closed or self._is_later(after), timeout)
            return self._moment if self._is_later(after) else None

    def _is_later(self, after: int) -> bool:
        return self._moment is not None and self._moment.number > after


class Announcement:
    """The newest moment of each camera that was not taken yet. A slow reader misses some."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._moments: dict[int, Moment] = {}

    def tell(self, moment: Moment) -> None:
        """Put a moment, in place of its camera's last one if that still waits."""
        with self._news:
            self._moments[moment.camera] = moment
            self._news.notify_all()

    def take(self, timeout: float) -> list[Moment]:
        """Return what waits, for at most `timeout` seconds for the first one."""
        with self._news:
            self._news.wait_for(lambda: self._moments, timeout)
            taken, self._moments = list(self._moments.values()), {}
            return taken
