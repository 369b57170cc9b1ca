"""Draws the results into the picture."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Sequence

import cv2
import numpy as np

from .lettering import write

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

WIDEST = 960  # pixels of the picture that is shown
GREEN = (30, 120, 70)


class Overlay:
    """A picture uint8 [H, W, 3] RGB as it came, and its results.

    They are drawn when a viewer asks for them, so that classifying does not wait.
    """

    def __init__(
        self, image: NDArray[np.uint8], classes: Sequence[tuple[str, float]] = (), lines: Sequence[str] = ()
    ) -> None:
        self.image, self._classes, self._lines = image, classes, lines
        self._drawing = threading.Lock()
        self._drawn: NDArray[np.uint8] | None = None

    @property
    def drawn(self) -> NDArray[np.uint8]:
        """What to show, as `draw` returns it. Drawn once, however many look."""
        with self._drawing:
            if self._drawn is None:
                self._drawn = draw(self.image, self._classes, self._lines)
            return self._drawn


def draw(
    image: NDArray[np.uint8], classes: Sequence[tuple[str, float]], lines: Sequence[str]
) -> NDArray[np.uint8]:
    """Return a smaller copy of a picture uint8 [H, W, 3] with the classes, their bars, and lines of text."""
    scale = min(1.0, WIDEST / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    smaller = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else image.copy()
    shown = np.asarray(smaller, np.uint8)
    size = max(0.35, min(width, height) / 700)
    step = round(34 * size)
    box = shown[: min(height, step * (len(classes) + len(lines)) + step // 2)]
    box[:] = (box * 0.35).astype(np.uint8)
    y = step
    for name, probability in classes:
        end = round((width - 8) * probability)
        cv2.rectangle(shown, (4, y - step + 8), (4 + end, y + 4), GREEN, thickness=-1)
        write(shown, f"{100 * probability:5.1f} %  {name}", 8, y, size)
        y += step
    for line in lines:
        write(shown, line, 8, y, 0.8 * size)
        y += step
    return shown


def jpeg(image: NDArray[np.uint8], quality: int = 80) -> bytes:
    """Encode a picture uint8 [H, W, 3] RGB."""
    done, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture {image.shape} cannot be encoded")
    return bytes(encoded.tobytes())
