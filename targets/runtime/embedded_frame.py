"""Frames of cameras for libedgec in Python: arrays of pixels, and what edgec_frame of edgec.h has of them."""

from __future__ import annotations

import ctypes
from ctypes import addressof, c_char
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Sequence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

PIXELS = ("RGB", "BGR", "GRAY", "RGBA", "BGRA", "NV12", "I420", "YUYV", "UYVY")
MATRICES = ("BT601", "BT709")
RANGES = ("LIMITED", "FULL")
_SAMPLES = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "YUYV": 2, "UYVY": 2}
"""Bytes of a pixel in the first plane, where there are several."""
_PLANES = ("plane_0", "plane_1", "plane_2")


class FrameStruct(ctypes.Structure):
    """edgec_frame."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("pixels", "matrix", "range")),
        *((name, ctypes.c_int32) for name in ("height", "width")),
        *((name, ctypes.c_void_p) for name in _PLANES),
        *((name, ctypes.c_size_t) for name in ("stride_0", "stride_1", "stride_2")),
        *((name, ctypes.c_int32) for name in ("top", "left", "crop_height", "crop_width")),
    )


@dataclass(frozen=True)
class EmbeddedFrame:
    """A frame as a camera gives it; see edgec_frame.

    planes are uint8 arrays [rows, ...], whose rows may be apart: [H, W, 3] for RGB and BGR, [H, W, 4] for
    RGBA and BGRA, [H, W] for GRAY, [H, W] and [H / 2, W / 2, 2] for NV12, [H, W] and two of [H / 2, W / 2]
    for I420, [H, W, 2] for YUYV and UYVY. matrix ("BT601", "BT709") and range ("LIMITED", "FULL") have to be
    given for the last four. crop is (top, left, height, width).
    """

    pixels: str
    planes: Sequence[Plane]
    matrix: str | None = None
    range: str | None = None
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def described(self) -> FrameStruct:
        """The frame for the library; of a tuple of planes it is made once. Raises ValueError for wrong
        arrays, which the library could not recognise.
        """
        found: FrameStruct | None = self.__dict__.get("_described")
        if found is None:
            found = self._describe()
            if isinstance(self.planes, tuple):
                self.__dict__["_described"] = found
        return found

    def _describe(self) -> FrameStruct:
        """Beside a frame that fills the caches each Python call here takes a microsecond or more."""
        planes = self.planes
        shapes = tuple([plane.shape for plane in planes])
        strides = tuple([plane.strides for plane in planes])
        layout = _layout(self.pixels, self.matrix, self.range, tuple(self.crop), shapes, strides)
        described = FrameStruct.from_buffer_copy(layout)
        for name, plane in zip(_PLANES, planes):
            if plane.dtype.char != "B":
                raise ValueError(f"planes of {self.pixels} are uint8 {list(shapes)}, not {plane.dtype}")
            setattr(described, name, address_of(plane))
        return described


def address_of(array: Any) -> int:
    """Return where an array of NumPy begins. The second way takes three times as long."""
    try:
        return addressof(c_char.from_buffer(array))
    except (TypeError, ValueError):  # it is read only, has gaps, or is empty
        return int(array.ctypes.data)


@lru_cache(maxsize=64)
def _layout(
    pixels: str,
    matrix: str | None,
    limits: str | None,
    crop: tuple[int, int, int, int],
    shapes: tuple[tuple[int, ...], ...],
    strides: tuple[tuple[int, ...], ...],
) -> FrameStruct:
    """Return a frame without addresses. Raises ValueError."""
    height, width = shapes[0][:2]
    described = FrameStruct(
        _number(pixels, PIXELS, "pixels"),
        _number(matrix, MATRICES, "matrix"),
        _number(limits, RANGES, "range"),
        height,
        width,
    )
    halves = ((height + 1) // 2, (width + 1) // 2)
    samples = _SAMPLES.get(pixels)
    more: dict[str, tuple[tuple[int, ...], ...]] = {"NV12": ((*halves, 2),), "I420": (halves, halves)}
    first = (height, width) if samples is None else (height, width, samples)
    wanted = (first, *more.get(pixels, ()))
    if shapes != wanted:
        raise ValueError(f"planes of {pixels} are uint8 {list(wanted)}, not {list(shapes)}")
    if samples == 2 and width % 2:
        raise ValueError(f"{pixels} has two pixels beside each other; the width is {width}")
    for n, (shape, stride) in enumerate(zip(shapes, strides)):
        inner = (1,) if len(shape) == 2 else (shape[2], 1)
        if stride[1:] != inner or stride[0] < 0:
            raise ValueError("pixels of a row have to lie beside each other, and rows below each other")
        setattr(described, f"stride_{n}", stride[0])
    described.top, described.left, described.crop_height, described.crop_width = crop
    return described


def _number(name: str | None, names: Sequence[str], what: str) -> int:
    if name is None:
        return 0
    if name not in names:
        raise ValueError(f"{what} is {name!r}; allowed: {', '.join(names)}")
    return names.index(name) + 1
