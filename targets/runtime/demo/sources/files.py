"""Video files and folders of pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator, TypeVar

import cv2

from ...bundle.regular_file import read_at_most
from ...device_limits import PICTURE_FILE_BYTES
from ...preprocess import ImageError, decode
from .opencv import read_frames
from .source import Ended, Picture, SourceError

Item = TypeVar("Item")
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def open_film(path: Path, loop: bool, pace: bool) -> Iterator[Picture | None]:
    """Open a video file."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceError(f"{path} is not a video that OpenCV can read")
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    seconds = 1 / fps if pace and 0 < fps <= 1000 else 0.0

    def frames() -> Iterator[Picture | None]:
        while True:
            count = 0
            for frame in _paced(
                read_frames(cv2.VideoCapture(str(path)), str(path), "", stored=True), seconds
            ):
                count += 1
                yield frame
            if not loop or not count:
                raise Ended(f"{path} is at its end")

    return frames()


def open_folder(path: Path, loop: bool, pace: bool) -> Iterator[Picture | None]:
    """Show the pictures of a folder, one a second if `pace`."""

    def frames() -> Iterator[Picture | None]:
        while True:
            yield from _paced(map(_picture, pictures_in(path)), 1.0 if pace else 0.0)
            if not loop or not pictures_in(path):
                raise Ended(f"{path} is at its end")

    return frames()


def _picture(path: Path) -> Picture | None:
    arrived = time.monotonic()
    try:
        return Picture(decode(read_at_most(path, PICTURE_FILE_BYTES), 3), arrived)
    except (OSError, ImageError):
        return None


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name. Raises SourceError if it cannot be read (any more)."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    except OSError as error:
        raise SourceError(f"the pictures in {folder} cannot be read: {error.strerror}") from error


def _paced(items: Iterator[Item], seconds: float) -> Iterator[Item]:
    """Take an item every `seconds`; a late one does not make the next ones faster.

    It waits before it takes one: a picture is decoded while it is taken, and should not be old when it comes.
    """
    due = time.monotonic()
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + seconds, time.monotonic())
        try:
            item = next(items)
        except StopIteration:
            return
        yield item
