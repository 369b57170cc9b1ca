"""Stored labelled pictures: one interface, and one class for each way to store them."""

import hashlib
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from targets.runtime.preprocess import decode


class Images(Protocol):
    """Pictures by index, as stored. A picture is decoded when it is read."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each picture, [N]."""
        ...

    def name(self, index: int) -> str:
        """Return the picture's name in messages: its path, or its file and position."""
        ...

    def digest(self, index: int) -> str:
        """Return the sha256, in hex, of the picture's stored bytes: its identity."""
        ...

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Return uint8 [H, W, C] in its own size. Raises ImageError for a damaged picture."""
        ...

    def encoded(self, index: int) -> bytes | None:
        """Return the file of a picture; None where pixels are stored. Raises ImageError."""
        ...


@runtime_checkable
class HasMasks(Protocol):
    """Pictures with a label for every pixel."""

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Return the class numbers, uint8 [H, W] in the mask's own size. Raises ImageError."""
        ...


class PixelImages:
    """Uncompressed pictures of one size: uint8 [N, H, W, C] that may be memory-mapped."""

    def __init__(self, source: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        self._source = source
        self._pixels = pixels
        self.labels = labels

    def name(self, index: int) -> str:
        """Return `file[position]`."""
        return f"{self._source}[{index}]"

    def digest(self, index: int) -> str:
        """Return the sha256 of the pixels in the order height, width, channel."""
        return hashlib.sha256(self._pixels[index].tobytes()).hexdigest()

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:  # noqa: ARG002 -- stored decoded
        """Return the stored pixels; preprocessing converts between gray and RGB."""
        picture: NDArray[np.uint8] = self._pixels[index]
        return picture

    def encoded(self, index: int) -> None:
        """Return None: pixels are stored."""


class PackedImages:
    """Encoded pictures end to end in one array; picture i is data[offsets[i]:offsets[i + 1]]."""

    def __init__(
        self, source: str, data: NDArray[np.uint8], offsets: NDArray[np.int64], labels: NDArray[np.int64]
    ) -> None:
        self._source = source
        self._data = data
        self._offsets = offsets
        self.labels = labels

    def name(self, index: int) -> str:
        """Return `file[position]`."""
        return f"{self._source}[{index}]"

    def digest(self, index: int) -> str:
        """Return the sha256 of the encoded picture."""
        return hashlib.sha256(self.encoded(index)).hexdigest()

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Return the decoded picture. Raises ImageError."""
        return decode(self.encoded(index), channels)

    def encoded(self, index: int) -> bytes:
        """Return the encoded picture."""
        return self._data[self._offsets[index] : self._offsets[index + 1]].tobytes()
