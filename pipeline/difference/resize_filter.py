"""The resize filters of other programs, so that pictures can be prepared as they prepare them.

Each is separable: a matrix for the rows and one for the columns. `edgec` itself resizes with
`targets.runtime.resize`; nothing here ships.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.runtime.preprocess import Preprocessing
from targets.runtime.resize import Part

Array = NDArray[Any]
Pixels = NDArray[np.uint8]
Kernel = Callable[[Array], Array]
"""Weights of pixels at distances, in pixels of the input."""


def _triangle(distance: Array) -> Array:
    weights: Array = np.maximum(0, 1 - abs(distance))
    return weights


def _cubic(a: float) -> Kernel:
    """Return Keys' cubic (1981): a = -0.5 in PIL, -0.75 in OpenCV and torch."""

    def kernel(distance: Array) -> Array:
        x = abs(distance)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return np.where(x < 1, near, np.where(x < 2, far, 0))

    return kernel


def _lanczos(distance: Array) -> Array:
    return np.where(abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


@dataclass(frozen=True)
class ResizeFilter:
    """A filter: its name and where it is usual, its kernel, and where an output pixel lies in the input."""

    name: str
    kernel: Kernel | None
    """None: the nearest pixel."""
    reach: float = 1.0
    """How far the kernel reaches, in pixels."""
    antialias: bool = False
    """Whether the kernel becomes wider where pictures shrink."""
    corners: str = "half_pixel"
    """half_pixel, align_corners or asymmetric, as in ONNX's Resize."""

    def resized(self, image: Pixels, height: int, width: int, part: Part) -> Pixels:
        """Return `part` of a picture uint8 [H, W, channels] that is resized to `height` x `width`."""
        rows = self._matrix(image.shape[0], height)[part.top : part.top + part.height]
        columns = self._matrix(image.shape[1], width)[part.left : part.left + part.width]
        across = np.tensordot(columns, image.astype(np.float64), axes=(1, 1))  # [width, H, channels]
        found = np.tensordot(rows, across, axes=(1, 1))  # [height, width, channels]
        return np.clip(np.round(found), 0, 255).astype(np.uint8)

    def _matrix(self, count: int, wanted: int) -> Array:
        return _matrix(self, count, wanted)


@lru_cache(maxsize=256)
def _matrix(one: ResizeFilter, count: int, wanted: int) -> Array:
    """Return what each of `wanted` pixels takes of each of `count`, float64 [wanted, count]."""
    scale, at = count / wanted, np.arange(wanted, dtype=np.float64)
    match one.corners:
        case "align_corners":
            middle = at * ((count - 1) / max(1, wanted - 1))
        case "asymmetric":
            middle = at * scale
        case _:
            middle = (at + 0.5) * scale - 0.5
    matrix = np.zeros((wanted, count))
    if one.kernel is None:
        nearest = np.floor(middle if one.corners == "asymmetric" else middle + 0.5)
        matrix[np.arange(wanted), np.clip(nearest, 0, count - 1).astype(int)] = 1
        return matrix
    wider = max(1.0, scale) if one.antialias else 1.0
    taps = np.arange(-int(np.ceil(one.reach * wider)) - 1, int(np.ceil(one.reach * wider)) + 2)
    places = np.floor(middle)[:, None] + taps
    weights = one.kernel((places - middle[:, None]) / wider)
    if one.antialias:  # what lies outside is left out; without antialiasing the edge is repeated
        weights = np.where((places < 0) | (places >= count), 0, weights)
    np.add.at(matrix, (np.arange(wanted)[:, None], np.clip(places, 0, count - 1).astype(int)), weights)
    return np.asarray(matrix / matrix.sum(1, keepdims=True))


@dataclass(frozen=True)
class _Area(ResizeFilter):
    """Averages over the part of the input that an output pixel covers."""

    def _matrix(self, count: int, wanted: int) -> Array:
        edges = np.arange(wanted + 1) * (count / wanted)
        pixels = np.arange(count)
        covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        covered = np.maximum(covered, 0)
        return np.asarray(covered / covered.sum(1, keepdims=True))


FILTERS = (
    ResizeFilter("nearest (OpenCV's INTER_NEAREST, TensorFlow 1)", None, corners="asymmetric"),
    ResizeFilter("nearest, the pixel at the centre (PIL, TensorFlow 2)", None),
    ResizeFilter("bilinear without antialiasing (OpenCV's INTER_LINEAR, TensorFlow 2)", _triangle),
    ResizeFilter("bilinear with antialiasing (PIL, torchvision)", _triangle, antialias=True),
    ResizeFilter("bilinear, asymmetric (TensorFlow 1)", _triangle, corners="asymmetric"),
    ResizeFilter("bilinear with aligned corners", _triangle, corners="align_corners"),
    _Area("area (OpenCV's INTER_AREA)", None),
    ResizeFilter("bicubic without antialiasing (OpenCV's INTER_CUBIC, torch)", _cubic(-0.75), 2),
    ResizeFilter("bicubic with antialiasing (PIL, torchvision)", _cubic(-0.5), 2, antialias=True),
    ResizeFilter("Lanczos with antialiasing (PIL)", _lanczos, 3, antialias=True),
)
"""The usual filters, those without much smoothing first."""


@dataclass(frozen=True)
class OtherResize(Preprocessing):
    """Preprocessing with another program's resize filter."""

    filter: ResizeFilter = field(default=FILTERS[0])

    def __call__(self, image: Pixels) -> Pixels:
        """Return uint8 [height, width, channels] for a decoded picture of the same number of channels."""
        return self._fitted(image, self.filter.resized, self.border)
