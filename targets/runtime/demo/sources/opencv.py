"""Reading pictures by OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

import cv2
import numpy as np

from .source import SourceError

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]


def read_frames(capture: Any, name: str, advice: str) -> Iterator[Image | None]:
    """Read until there are no more frames."""
    if not capture.isOpened():
        raise SourceError(f"{name} cannot be opened: {advice}")

    def frames() -> Iterator[Image | None]:
        try:
            while True:
                try:
                    read, frame = capture.read()
                except cv2.error:
                    read, frame = True, None
                if not read:
                    return
                yield _rgb(frame)
        finally:
            capture.release()

    return frames()


def _rgb(frame: NDArray[np.uint8] | None) -> Image | None:
    """Return OpenCV's BGR or gray picture as RGB; None if it is not a picture."""
    if frame is None or frame.size == 0 or frame.dtype != np.uint8 or frame.ndim not in (2, 3):
        return None
    code = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(frame, code), np.uint8)
