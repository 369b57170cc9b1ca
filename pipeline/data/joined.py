"""Pictures of two stores as one."""

import numpy as np
from numpy.typing import NDArray

from pipeline.data.images import Images


class JoinedImages:
    """The pictures of one store, and behind them those of another with the same classes."""

    def __init__(self, first: Images, second: Images) -> None:
        self._first = first
        self._second = second
        self.labels: NDArray[np.int64] = np.concatenate([first.labels, second.labels])

    def name(self, index: int) -> str:
        """Return the name in its store."""
        images, at = self._at(index)
        return images.name(at)

    def digest(self, index: int) -> str:
        """Return the sha256 of the stored bytes."""
        images, at = self._at(index)
        return images.digest(at)

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Return the decoded picture. Raises ImageError."""
        images, at = self._at(index)
        return images.decode(at, channels)

    def encoded(self, index: int) -> bytes | None:
        """Return the picture's file; None where pixels are stored. Raises ImageError."""
        images, at = self._at(index)
        return images.encoded(at)

    def _at(self, index: int) -> tuple[Images, int]:
        count = len(self._first.labels)
        return (self._first, index) if index < count else (self._second, index - count)
