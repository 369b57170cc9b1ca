"""Outputs of the demo besides the page: lines for other programs, and windows."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING

import cv2

from .board import Announcement

if TYPE_CHECKING:
    from .board import Moment

WINDOW = "edgec: q ends"


class Lines:
    """Writes records to stdout in its own thread: a slow reader misses some and delays nothing."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._waiting = Announcement()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=0.5)  # a reader that has stopped must not block the program

    def tell(self, moment: Moment) -> None:
        """Write this record next, instead of one of its camera that was not written yet."""
        self._waiting.tell(moment)

    def _run(self) -> None:
        while not self._ended.is_set():
            lines = [json.dumps(moment.record) + "\n" for moment in self._waiting.take(timeout=0.2)]
            try:
                sys.stdout.write("".join(lines))
                sys.stdout.flush()
            except BrokenPipeError:  # the reader has closed its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self._stop.set()
                return


class Windows:
    """Shows pictures on the screen of this machine, if OpenCV can: a window for each camera."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._works = True
        self._waiting = Announcement()

    def __enter__(self) -> Windows:
        return self

    def __exit__(self, *_: object) -> None:
        if self._works:
            try:
                cv2.destroyAllWindows()
            except cv2.error:
                return

    def tell(self, moment: Moment) -> None:
        """Show this picture next."""
        self._waiting.tell(moment)

    def show(self, seconds: float) -> None:
        """Show what waits, in the program's main thread; a closed window or the key q ends the demo."""
        for moment in self._waiting.take(seconds):
            if not self._works:
                return
            title = f"{WINDOW}, camera {moment.camera + 1}" if moment.camera else WINDOW
            try:
                cv2.imshow(title, moment.overlay.drawn[:, :, ::-1])
                if (
                    cv2.waitKey(1) & 0xFF == ord("q")
                    or cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1
                ):
                    self._stop.set()
            except cv2.error:  # this OpenCV was built without windows
                self._works = False
                print("no window: this OpenCV cannot open one; the page shows the same", file=sys.stderr)
