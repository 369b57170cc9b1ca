"""A thread that reads a source as fast as it can and keeps only the newest picture, without a queue."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator

from .sources.source import Ended, Picture, Source, SourceError

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    import numpy as np
    from numpy.typing import NDArray

RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Waits before a lost source is opened again; the last one repeats."""
LEAVE_SECONDS = 0.5
"""How long the program waits for the thread at its end, since a driver may hang."""


@dataclass(frozen=True)
class Frame:
    """A picture, uint8 [H, W, 3] RGB. number counts from 1.

    arrived, decoded: of time.monotonic(), when it had come and when its pixels were there.
    """

    image: NDArray[np.uint8]
    number: int
    arrived: float
    decoded: float

    @property
    def decode_ms(self) -> float:
        """What decoding took, conversion to RGB included."""
        return 1e3 * (self.decoded - self.arrived)


@dataclass(frozen=True)
class CaptureState:
    """The state of the source. status: "opening", "running", "lost" or "ended"; text: the reason."""

    status: str
    text: str
    captured: int
    damaged: int
    reconnects: int


class Capture:
    """The newest picture of a source. A lost camera is reopened until that works.

    A context manager: the thread runs inside it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._state = CaptureState("opening", source.name, 0, 0, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=LEAVE_SECONDS)

    @property
    def state(self) -> CaptureState:
        """The state of the source now."""
        with self._news:
            return self._state

    def newest(self, after: int, timeout: float) -> Frame | None:
        """Wait for a picture later than number `after`; None if there is none within `timeout` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._is_later(after) or self._state.status == "ended", timeout)
            return self._newest if self._is_later(after) else None

    def _is_later(self, after: int) -> bool:
        return self._newest is not None and self._newest.number > after

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                if self._read(self._source.open()):
                    failures = 0
                reason = f"{self._source.name} gives no more pictures"
            except Ended as error:
                self._now("ended", str(error))
                return
            except SourceError as error:
                reason = str(error)
            except Exception as error:  # a fault of ours: said on the page, and its traceback on the terminal
                self._now("ended", f"{self._source.name} is not read any more: {error!r}")
                raise
            if not self._source.live:
                self._now("ended", reason)
                return
            wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
            failures += 1
            self._now("lost", reason, reconnects=1)
            self._stop.wait(wait)

    def _read(self, pictures: Iterator[Picture | None]) -> bool:
        """Keep the newest picture until there are no more; return whether there was any."""
        some = False
        try:
            for picture in pictures:
                if self._stop.is_set():
                    break
                if picture is None:
                    self._now("running", self._source.name, damaged=1)
                    continue
                some = True
                self._keep(picture)
        finally:
            close = getattr(pictures, "close", None)
            if close:
                close()
        return some

    def _keep(self, picture: Picture) -> None:
        decoded = time.monotonic()
        with self._news:
            number = self._state.captured + 1
            self._newest = Frame(picture.image, number, picture.arrived, decoded)
            self._now("running", self._source.name, captured=1)

    def _now(self, status: str, text: str, captured: int = 0, damaged: int = 0, reconnects: int = 0) -> None:
        with self._news:  # a Condition's lock may be taken again by its owner
            old = self._state
            self._state = CaptureState(
                status,
                text,
                old.captured + captured,
                old.damaged + damaged,
                old.reconnects + reconnects,
            )
            self._news.notify_all()
