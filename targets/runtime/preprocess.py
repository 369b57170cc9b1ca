"""The only image preprocessing in the project: training, calibration, validation and the device all call it.

It yields raw uint8 pixels; normalisation is inside the model. All steps are integer arithmetic or OpenCV's
bit-exact bilinear resize, so the same picture gives the same bytes on every machine.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Callable

from .device_limits import PIXELS

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(PIXELS))  # OpenCV reads it once, when it loads

import numpy as np

from .jpeg_warnings import without_harmless_warnings
from .picture_damage import listening, what_is_damaged
from .picture_values import (
    what_is_misread,
    what_is_nearly_black,
    what_is_not_decoded,
    with_colours_as_stored,
)
from .resize import Part, nearest, resized

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
    Resize = Callable[[Image, int, int, Part], Image]

FITS = ("pad", "letterbox", "crop", "stretch")
LONGEST = 16  # sides; see Preprocessing
MARGIN = (256, 224)  # large pictures are scaled to the first, and the second is cut out: usual for ImageNet
_ROWS = 256
VOID = 255  # in a mask: a pixel without a label


class ImageError(ValueError):
    """A picture that cannot be decoded. The message says why; the caller adds the name."""


def decode(encoded: bytes, channels: int) -> Image:
    """Decode a JPEG, PNG, BMP, WebP or other still picture into uint8 [H, W, channels], RGB or gray.

    The orientation in EXIF is applied. Raises ImageError if the picture is not complete, also where the
    decoder would fill in what is missing.
    """
    import cv2  # where it is used: what decodes nothing, such as a rebuild, does not wait for it

    damage = what_is_damaged(encoded) or what_is_misread(encoded)
    if damage is not None:
        raise ImageError(damage)
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    try:
        with listening(encoded) as messages:
            stored = np.frombuffer(with_colours_as_stored(without_harmless_warnings(encoded)), np.uint8)
            image = cv2.imdecode(stored, flag) if encoded else None
    except cv2.error as error:  # a picture larger than OpenCV's own limit
        raise ImageError("the decoder refuses it: " + str(error).strip().splitlines()[-1]) from None
    if messages:
        raise ImageError(f"the JPEG is damaged: {messages[0]}")
    if image is None:
        raise ImageError(what_is_not_decoded(encoded))
    pixels = np.asarray(image, np.uint8)
    damage = what_is_nearly_black(encoded, pixels)
    if damage is not None:
        raise ImageError(damage)
    if channels == 1:
        return pixels[:, :, None]
    for first in range(0, len(pixels), _ROWS):  # in place: OpenCV copies what it turns in place as a whole
        some = pixels[first : first + _ROWS]
        cv2.cvtColor(some, cv2.COLOR_BGR2RGB, dst=some)
    return pixels


@dataclass(frozen=True)
class Preprocessing:
    """How a picture of any size becomes the model's input.

    fit is "pad" (centred, never scaled unless larger), "letterbox" (scaled until it just fits, centred),
    "crop" (the shorter side scaled to `resize`, the centre cut out) or "stretch" (both sides scaled,
    proportions change). Of a picture more than LONGEST times as long as wide "crop" scales only the middle:
    all of it may not fit the memory. border is what "pad" and "letterbox" add: one value, or one a channel.

    "crop" with `resize` 0 scales no more than a picture needs: one that is larger shrinks until the input and
    a MARGIN around it are covered, one that is too small grows until it covers the input, and one between the
    two stays as it is. So a picture of the input's own size is neither scaled nor cut.
    """

    height: int
    width: int
    channels: int
    fit: str = "crop"
    resize: int = 0
    border: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "border", tuple(self.border))  # JSON has lists
        if len(self.border) not in (1, self.channels) or not all(0 <= one <= 255 for one in self.border):
            raise ValueError(
                f"border is {list(self.border)}; it has to be one number from 0 to 255, or one a channel"
            )
        if any(self.border) and self.fit not in ("pad", "letterbox"):
            raise ValueError(f"border is {list(self.border)}, and fit = {self.fit!r} adds none; leave it out")
        if self.fit not in FITS:
            raise ValueError(f"fit is {self.fit!r}; allowed: {', '.join(FITS)}")
        if self.channels not in (1, 3) or self.height < 1 or self.width < 1:
            raise ValueError(
                f"an input cannot be {self.height} x {self.width} x {self.channels}; channels are 1 or 3"
            )
        if self.fit == "crop" and self.resize and self.resize < max(self.height, self.width):
            raise ValueError(f"resize is {self.resize}, smaller than the crop {self.height} x {self.width}")

    def __call__(self, image: Image) -> Image:
        """Return uint8 [height, width, channels] for a decoded uint8 picture [H, W] or [H, W, 1 or 3]."""
        return self._fitted(_with_channels(image, self.channels), resized, self.border)

    def mask(self, mask: Image) -> Image:
        """Return uint8 [height, width] for a mask [H, W] of class numbers: the same cuts, nearest pixels.

        What "pad" adds is VOID.
        """
        return self._fitted(mask[:, :, None], nearest, (VOID,))[:, :, 0]

    def _fitted(self, image: Image, resize: Resize, around: tuple[int, ...]) -> Image:
        if self.fit in ("pad", "letterbox"):
            return self._padded(image, resize, around)
        if self.fit == "stretch":
            return resize(image, self.height, self.width, Part(0, 0, self.height, self.width))
        image, height, width = self._scaled(image)
        return resize(image, height, width, _middle(height, width, self.height, self.width))

    def _scaled(self, image: Image) -> tuple[Image, int, int]:
        """Return the part of a picture that "crop" scales, and the height and width that it gets."""
        longest = LONGEST
        if not self.resize:  # an input may be longer than that itself
            longest *= -(-max(self.height, self.width) // min(self.height, self.width))
        height, width = image.shape[:2]
        if max(height, width) > longest * min(height, width):
            part = _middle(height, width, min(height, longest * width), min(width, longest * height))
            image = part.of(image)
            height, width = image.shape[:2]
        if self.resize:
            by_height = height < width
            side = self.resize
        else:  # the shorter side, relative to the input's
            by_height = height * self.width < width * self.height
            here, there = (height, self.height) if by_height else (width, self.width)
            side = min(max(here, there), _rounded(there * MARGIN[0], MARGIN[1]))
        if by_height:
            return image, side, _rounded(width * side, height)
        return image, _rounded(height * side, width), side

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values; `Preprocessing(**d)` gives the same object back."""
        fields = asdict(self)
        if not any(self.border):
            del fields["border"]  # bundles of before have none
        return fields

    def _padded(self, image: Image, resize: Resize, around: tuple[int, ...]) -> Image:
        height, width = image.shape[:2]
        if height > self.height or width > self.width or self.fit == "letterbox":
            # the longer side decides, relative to the canvas
            if height * self.width > width * self.height:
                height, width = self.height, max(1, _rounded(width * self.height, height))
            else:
                height, width = max(1, _rounded(height * self.width, width)), self.width
            image = resize(image, height, width, Part(0, 0, height, width))
        top, left = (self.height - height) // 2, (self.width - width) // 2
        canvas = np.empty((self.height, self.width, image.shape[2]), np.uint8)
        canvas[:] = around
        canvas[top : top + height, left : left + width] = image
        return canvas


def _middle(height: int, width: int, rows: int, columns: int) -> Part:
    """Return the `rows` x `columns` pixels in the middle of a picture of `height` x `width`."""
    return Part((height - rows) // 2, (width - columns) // 2, rows, columns)


def _rounded(numerator: int, denominator: int) -> int:
    """Divide two positive integers, rounding half up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _with_channels(image: Image, channels: int) -> Image:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"a picture is uint8 [H, W] or [H, W, channels], not {image.dtype} {image.shape}")
    if image.ndim == 2:
        image = image[:, :, None]
    found = image.shape[2]
    if found == channels:
        return image
    if found == 1 and channels == 3:
        return np.repeat(image, 3, axis=2)
    if found == 3 and channels == 1:
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # ITU-R BT.601, fixed point
        return np.asarray(gray, np.uint8)[:, :, None]
    raise ValueError(f"a picture with {found} channels cannot become one with {channels}")
