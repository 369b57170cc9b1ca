"""Keeps pictures with an uncertain class, to be labelled for another training.

FOLDER/to-label/GUESS/TIME-CAMERA-FRAME-PERCENT.png    the picture as it came, under its likeliest class
FOLDER/labelled/CLASS/                                 empty folders: whoever looks moves the pictures there
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from ..printable import printable

if TYPE_CHECKING:
    from .board import Moment
    from .recording_limits import RecordingLimits

TO_LABEL, LABELLED = "to-label", "labelled"
LONGEST_NAME = 200  # bytes of a folder's name, of the 255 that file systems allow
WAITING = 2  # pictures that are not written yet; more are left out
END_SECONDS = 2.0  # what writing the last ones may take


class RecordingError(ValueError):
    """The folder cannot be used. The message says why."""


class UncertainFrames:
    """Writes uncertain pictures in its own thread, which nothing waits for. A context manager."""

    def __init__(self, folder: Path, classes: tuple[str, ...], limits: RecordingLimits) -> None:
        """Make the folders. Raises RecordingError if they cannot be made."""
        self._limits = limits
        self._folders = dict(zip(classes, folder_names(classes)))
        self._to_label = folder / TO_LABEL
        try:
            for name in self._folders.values():
                (folder / LABELLED / name).mkdir(parents=True, exist_ok=True)
            self._to_label.mkdir(exist_ok=True)
            there = [path.stat().st_size for path in self._to_label.rglob("*.png")]
        except OSError as error:
            raise RecordingError(f"{folder} cannot take pictures: {error.strerror}") from error
        self._pictures, self._bytes = len(there), sum(there)
        self._full = ""
        self._next: dict[int, float] = {}
        self._waiting: queue.Queue[Moment | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    def __enter__(self) -> UncertainFrames:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._waiting.put(None, timeout=END_SECONDS)
        except queue.Full:
            return
        self._thread.join(END_SECONDS)

    @property
    def state(self) -> str:
        """How much there is to label, and why no more is recorded if so."""
        return f"{self._pictures} to label" + (f"; {self._full}" if self._full else "")

    @property
    def is_behind(self) -> bool:
        """Whether a picture waits to be written."""
        return not self._waiting.empty()

    def tell(self, moment: Moment) -> None:
        """Record the picture if it is uncertain and one is due. From the thread of its camera."""
        best = moment.record["classes"][0]
        now = time.monotonic()
        if (
            self._full
            or best["probability"] >= self._limits.below
            or now < self._next.get(moment.camera, 0.0)
        ):
            return
        try:
            self._waiting.put_nowait(moment)
        except queue.Full:
            return
        self._next[moment.camera] = now + self._limits.seconds

    def _run(self) -> None:
        while True:
            moment = self._waiting.get()
            if moment is None:
                return
            if self._full:
                continue
            try:
                self._write(moment)
            except OSError as error:
                self._stop(f"recording stopped: {error.strerror}")

    def _write(self, moment: Moment) -> None:
        done, encoded = cv2.imencode(
            ".png", moment.overlay.image[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1]
        )
        if not done:
            return
        if self._pictures >= self._limits.pictures or self._bytes + len(encoded) > self._limits.bytes:
            self._stop(f"recording stopped: the limit of {self._what_is_reached()} is reached")
            return
        best = moment.record["classes"][0]
        folder = self._to_label / self._folders[best["name"]]
        folder.mkdir(exist_ok=True)
        when = time.strftime("%Y%m%d-%H%M%S", time.localtime(moment.record["time"]))
        name = f"{when}-{moment.camera}-{moment.record['frame']:06d}-{100 * best['probability']:.0f}.png"
        unfinished = folder / f".{name}"  # what ends meanwhile leaves no half picture with a picture's name
        try:
            unfinished.write_bytes(encoded.tobytes())
            unfinished.replace(folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._pictures += 1
        self._bytes += len(encoded)

    def _what_is_reached(self) -> str:
        if self._pictures >= self._limits.pictures:
            return f"{self._limits.pictures} pictures"
        return f"{self._limits.bytes >> 20} MiB"

    def _stop(self, why: str) -> None:
        self._full = why
        print(printable(f"{self._to_label}: {why}"), file=sys.stderr, flush=True)


def folder_names(classes: tuple[str, ...]) -> list[str]:
    """Return a folder's name for each class: the class itself, unless a file system cannot have that.

    No two are the same, and none is hidden or leads elsewhere.
    """
    names: list[str] = []
    for number, label in enumerate(classes):
        name = "".join("_" if one == "/" or not one.isprintable() else one for one in label)
        name = name.encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore")
        if not name.strip() or name.startswith(".") or name in names:
            name = f"class {number} {name.lstrip('.')}".strip()
        names.append(name)
    return names
