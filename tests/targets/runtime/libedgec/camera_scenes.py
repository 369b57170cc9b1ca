"""Camera frames, and their conversion to pictures in NumPy, the same for every pixel."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from targets.runtime.embedded_network import EmbeddedFrame

Bytes = NDArray[np.uint8]
KR_KB = {
    "BT601": (Fraction(299, 1000), Fraction(114, 1000)),
    "BT709": (Fraction(2126, 10000), Fraction(722, 10000)),
}
OPENCV_LIMITED = (1220542, 1673527, -409993, -852492, 2116026)
"""opencv/modules/imgproc/src/color_yuv.simd.hpp: ITUR_BT_601_CY, CVR, CUG, CVG, CUB."""
LIBJPEG_FULL = tuple(16 * one for one in (65536, 91881, -22554, -46802, 116130))
"""libjpeg/jdcolor.c: FIX(1.40200) and the others, which have 16 bits behind the point."""


def standard(matrix: str, limited: bool) -> tuple[int, ...]:
    """The factors of Y, V, U, V, U in red, green, green and blue, by the Recommendations, times 2^20."""
    kr, kb = KR_KB[matrix]
    kg = 1 - kr - kb
    light, colour = (Fraction(255, 219), Fraction(255, 224)) if limited else (Fraction(1), Fraction(1))
    red, blue = 2 * (1 - kr) * colour, 2 * (1 - kb) * colour
    exact = (light, red, -blue * kb / kg, -red * kr / kg, blue)
    return tuple(round(one * (1 << 20)) for one in exact)


def to_rgb(y: Bytes, u: Bytes, v: Bytes, matrix: str, limited: bool) -> Bytes:
    """Return RGB [H, W, 3] for Y, U and V [H, W]."""
    factors = standard(matrix, limited)
    if matrix == "BT601":
        factors = OPENCV_LIMITED if limited else LIBJPEG_FULL
    light = np.maximum(y.astype(np.int64) - (16 if limited else 0), 0) * factors[0] + (1 << 19)
    of_u, of_v = (one.astype(np.int64) - 128 for one in (u, v))
    red = light + factors[1] * of_v
    green = light + factors[2] * of_u + factors[3] * of_v
    blue = light + factors[4] * of_u
    shifted = np.stack([red, green, blue], axis=-1) >> 20
    return np.asarray(np.clip(shifted, 0, 255), np.uint8)


@dataclass(frozen=True)
class Scene:
    """How a frame is stored; the content is random."""

    pixels: str
    matrix: str
    limited: bool
    height: int
    width: int
    padding: int = 0
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)

    def frame(self, rng: np.random.Generator) -> EmbeddedFrame:
        """Return a random frame."""
        height, width = self.height, self.width
        halves = ((height + 1) // 2, (width + 1) // 2)
        all_shapes: dict[str, list[tuple[int, ...]]] = {
            "GRAY": [(height, width)],
            "NV12": [(height, width), (*halves, 2)],
            "I420": [(height, width), halves, halves],
            **{name: [(height, width, 3)] for name in ("RGB", "BGR")},
            **{name: [(height, width, 4)] for name in ("RGBA", "BGRA")},
            **{name: [(height, width, 2)] for name in ("YUYV", "UYVY")},
        }
        planes = tuple(self._plane(shape, rng) for shape in all_shapes[self.pixels])
        told = ("LIMITED" if self.limited else "FULL") if self.is_yuv else None
        return EmbeddedFrame(self.pixels, planes, self.matrix if self.is_yuv else None, told, self.crop)

    @property
    def is_yuv(self) -> bool:
        return self.pixels in ("NV12", "I420", "YUYV", "UYVY")

    def _plane(self, shape: tuple[int, ...], rng: np.random.Generator) -> Bytes:
        """Return a plane whose rows are `padding` bytes apart; smooth enough that neighbours are alike."""
        bytes_of_row = int(np.prod(shape[1:]))
        memory = rng.integers(0, 256, (shape[0], bytes_of_row + self.padding), np.uint8)
        plane = memory[:, :bytes_of_row]
        strides = (memory.strides[0], *((shape[2], 1) if len(shape) == 3 else (1,)))
        return np.lib.stride_tricks.as_strided(plane, shape, strides)

    def picture(self, frame: EmbeddedFrame) -> Bytes:
        """Return the part of a frame that is to be classified as a picture: RGB [H, W, 3], or gray [H, W]."""
        top, left, height, width = self.crop
        bottom = top + height if height else self.height
        right = left + width if width else self.width
        return np.ascontiguousarray(self._whole(frame)[top:bottom, left:right])

    def _whole(self, frame: EmbeddedFrame) -> Bytes:
        first = frame.planes[0]
        if self.pixels == "GRAY":
            return first
        if not self.is_yuv:
            return first[:, :, (0, 1, 2) if self.pixels in ("RGB", "RGBA") else (2, 1, 0)]
        y, u, v = self._yuv(frame)
        return to_rgb(y, u, v, self.matrix, self.limited)

    def _yuv(self, frame: EmbeddedFrame) -> tuple[Bytes, Bytes, Bytes]:
        first = frame.planes[0]
        if self.pixels in ("YUYV", "UYVY"):
            light, colour = (0, 1) if self.pixels == "YUYV" else (1, 0)
            return first[..., light], _twice(first[:, 0::2, colour], 1), _twice(first[:, 1::2, colour], 1)
        halves = (
            (frame.planes[1][..., 0], frame.planes[1][..., 1]) if self.pixels == "NV12" else frame.planes[1:]
        )
        u, v = (_twice(_twice(half, 0), 1)[: self.height, : self.width] for half in halves)
        return first, u, v


def _twice(plane: Bytes, axis: int) -> Bytes:
    return np.repeat(plane, 2, axis=axis)


def random_scene(rng: np.random.Generator, largest: int) -> Scene:
    """Return a random scene of any size up to `largest`, half of them with a crop."""
    pixels = str(rng.choice(["RGB", "BGR", "GRAY", "RGBA", "BGRA", "NV12", "I420", "YUYV", "UYVY"]))
    height, width = (int(n) for n in rng.integers(1, largest + 1, 2))
    if pixels in ("YUYV", "UYVY"):
        width += width % 2
    top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
    crop = (top, left, int(rng.integers(0, height - top + 1)), int(rng.integers(0, width - left + 1)))
    matrix, limited = str(rng.choice(["BT601", "BT709"])), bool(rng.integers(2))
    padding = int(rng.integers(0, 40))
    return Scene(pixels, matrix, limited, height, width, padding, crop if rng.integers(2) else (0, 0, 0, 0))


def by_opencv(pixels: str, planes: Sequence[Bytes]) -> Bytes:
    """Return OpenCV's RGB of a frame of even size: BT.601, limited range."""
    if pixels in ("NV12", "I420"):
        height, width = planes[0].shape
        rest = [plane.reshape(-1) for plane in planes[1:]]
        stacked = np.concatenate([planes[0].reshape(-1), *rest]).reshape(height * 3 // 2, width)
        return np.asarray(cv2.cvtColor(stacked, getattr(cv2, f"COLOR_YUV2RGB_{pixels}")), np.uint8)
    return np.asarray(cv2.cvtColor(planes[0], getattr(cv2, f"COLOR_YUV2RGB_{pixels}")), np.uint8)


def frame_stream(frames: Sequence[EmbeddedFrame]) -> bytes:
    """Return frames as frame_stream.h reads them."""
    parts = []
    for frame in frames:
        told = frame.described
        height, width = frame.planes[0].shape[:2]
        rows = [(plane.shape[0], plane.strides[0], int(np.prod(plane.shape[1:]))) for plane in frame.planes]
        sizes = [(count - 1) * stride + last for count, stride, last in rows]
        gaps = [0] * (3 - len(sizes))
        numbers = (told.pixels, told.matrix, told.range, height, width, *frame.crop)
        strides = (told.stride_0, told.stride_1, told.stride_2)
        parts.append(struct.pack("<16i", *numbers, *strides, *sizes, *gaps, 0))
        for plane, (count, stride, _), size in zip(frame.planes, rows, sizes, strict=True):
            owner = np.lib.stride_tricks.as_strided(plane, (count * stride,), (1,))
            parts.append(owner[:size].tobytes())
    return b"".join(parts)
