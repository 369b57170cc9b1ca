"""Outputs of the demo besides the page: lines for other programs, and a window."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TYPE_CHECKING

import cv2

from .board import Board

if TYPE_CHECKING:
    from .board import Moment

WINDOW = "edgec: q ends"


class Lines:
    """Writes records to stdout in its own thread: a slow reader misses some and delays nothing."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._board = Board()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()
        self._thread.join(timeout=0.5)  # a reader that has stopped must not block the program

    def tell(self, moment: Moment) -> None:
        """Write this record next, instead of one that was not written yet."""
        self._board.post(moment)

    def _run(self) -> None:
        number = 0
        while not self._board.closed:
            moment = self._board.newest(number, timeout=1.0)
            if moment is None:
                continue
            number = moment.number
            try:
                sys.stdout.write(json.dumps(moment.record) + "\n")
                sys.stdout.flush()
            except BrokenPipeError:  # the reader has closed its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                self._stop.set()
                return


class Window:
    """Shows pictures on the screen of this machine, if OpenCV can."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._works = True

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        if self._works:
            try:
                cv2.destroyAllWindows()
            except cv2.error:
                return

    def tell(self, moment: Moment) -> None:
        """Show a picture; a closed window or the key q ends the demo."""
        if not self._works:
            return
        try:
            cv2.imshow(WINDOW, moment.overlay.drawn[:, :, ::-1])
            if cv2.waitKey(1) & 0xFF == ord("q") or cv2.getWindowProperty(WINDOW, cv2.WND_PROP_VISIBLE) < 1:
                self._stop.set()
        except cv2.error:  # this OpenCV was built without windows
            self._works = False
            print("no window: this OpenCV cannot open one; the page shows the same", file=sys.stderr)
