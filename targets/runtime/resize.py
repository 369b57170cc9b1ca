"""Resizing pictures: exact averages of whole blocks, then OpenCV's bit-exact bilinear interpolation.

Bilinear interpolation alone samples four pixels, and aliases when it shrinks more than twofold. Compiled code
does it where there is some; `resized_by_numpy` gives the same bytes anywhere, in about ten times the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import compiled_resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]


class Part(NamedTuple):
    """The rows and columns that are wanted of a resized picture."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: Image) -> Image:
        """Cut it out."""
        rows = slice(self.top, self.top + self.height)
        return np.ascontiguousarray(image[rows, self.left : self.left + self.width])


def resized(image: Image, height: int, width: int, part: Part) -> Image:
    """Return `part` of a picture [H, W, channels] that is resized to `height` x `width`."""
    if image.shape[:2] == (height, width):
        return part.of(image)
    library = compiled_resize.library()
    if library is None:
        return resized_by_numpy(image, height, width, part)
    if image.strides[1:] != (image.shape[2], 1) or image.strides[0] < 0:
        image = np.ascontiguousarray(image)
    sizes = (*image.shape, image.strides[0], height, width, *part)
    out = np.empty((part.height, part.width, image.shape[2]), np.uint8)
    library.resize(sizes, image.ctypes.data, out.ctypes.data, out.strides[0])
    return out


def resized_by_numpy(image: Image, height: int, width: int, part: Part) -> Image:
    """Return what `resized` does, by NumPy and OpenCV."""
    image = _box_average(image, max(1, image.shape[0] // height), max(1, image.shape[1] // width))
    if image.shape[:2] != (height, width):
        import cv2  # where it is used: compiled code needs none

        found = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
        image = np.asarray(found, np.uint8).reshape(height, width, image.shape[2])
    return part.of(image)


def nearest(image: Image, height: int, width: int, part: Part) -> Image:
    """Return the same part, of pixels that hold the centre of each new one."""
    rows = (2 * (np.arange(part.height) + part.top) + 1) * image.shape[0] // (2 * height)
    columns = (2 * (np.arange(part.width) + part.left) + 1) * image.shape[1] // (2 * width)
    return np.ascontiguousarray(image[rows[:, None], columns])


def _box_average(image: Image, down: int, across: int) -> Image:
    """Average blocks of `down` x `across` pixels, rounding half up; leftover edge pixels are dropped."""
    if down == across == 1:
        return image
    height, width = image.shape[0] // down, image.shape[1] // across
    blocks = image[: height * down, : width * across].reshape(height, down, width, across, image.shape[2])
    area = down * across
    # sums of larger blocks do not fit 32 bits
    sums = blocks.sum(axis=(1, 3), dtype=np.uint32 if area < 1 << 22 else np.uint64)
    return np.asarray((2 * sums + area) // (2 * area), np.uint8)
