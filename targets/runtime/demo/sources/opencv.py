"""Reading pictures by OpenCV."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Iterator

import cv2
import numpy as np

from .source import Picture, SourceError

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]


def read_frames(capture: Any, name: str, advice: str, *, stored: bool = False) -> Iterator[Picture | None]:
    """Read until there are no more frames.

    stored: they lie in a file, so that taking the next one is decoding it, and not waiting for a camera. Of a
    camera OpenCV may decode while it takes (a network stream) or afterwards (V4L2); only the latter is seen.
    """
    if not capture.isOpened():
        raise SourceError(f"{name} cannot be opened: {advice}")

    def frames() -> Iterator[Picture | None]:
        try:
            while True:
                arrived = time.monotonic()
                if not capture.grab():
                    return
                if not stored:
                    arrived = time.monotonic()
                image = _rgb(_decoded(capture))
                yield None if image is None else Picture(image, arrived)
        finally:
            capture.release()

    return frames()


def _decoded(capture: Any) -> NDArray[np.uint8] | None:
    try:
        decoded, frame = capture.retrieve()
    except cv2.error:
        return None
    return np.asarray(frame, np.uint8) if decoded else None


def _rgb(frame: NDArray[np.uint8] | None) -> Image | None:
    """Return OpenCV's BGR or gray picture as RGB; None if it is not a picture."""
    if frame is None or frame.size == 0 or frame.dtype != np.uint8 or frame.ndim not in (2, 3):
        return None
    code = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(frame, code), np.uint8)
