"""Pictures whose numbers OpenCV does not take as the file means them, and kinds that it does not read."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    import numpy as np
    from numpy.typing import NDArray

_BETWEEN = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM = re.compile(rb"P([2356])" + 2 * (_BETWEEN + rb"\d+") + _BETWEEN + rb"0*(\d{1,6})\s")
_PNM_STARTS = (b"P2", b"P3", b"P5", b"P6")
_HEADER = 1 << 16  # bytes
_TEXT = b"23"  # gray and colour, written as text
_SHORT = 3  # a TIFF field's type
_BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA = 258, 262, 277, 338  # TIFF 6.0, section 8
_RGB, _RGB_AND_ALPHA = 2, 4
_UNASSOCIATED = 2
_LAB = (8, 9, 10)  # CIE, ICC and ITU
_PNG_BITS = 24  # bytes before the bit depth
_NEARLY_BLACK = 16  # of 255: what 12 bits are at most, taken as 16
_IFD_ENTRIES = 4096
_KINDS = (
    (b"\0\0\1\0", "a Windows icon (ICO)"),
    (b"8BPS", "a Photoshop file (PSD)"),
    (b"qoif", "a QOI picture"),
    (b"DDS ", "a DDS texture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\x01\xda", "an SGI picture"),
    (b"\x0a\x05\x01", "a PCX picture"),
    (b"%PDF", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML file, perhaps an SVG drawing"),
    (b"II*\0", "a TIFF of this bit depth or compression"),
    (b"II+\0", "a TIFF of this bit depth or compression"),
    (b"MM\0*", "a TIFF of this bit depth or compression"),
)


def what_is_misread(encoded: bytes) -> str | None:
    """Return why OpenCV would give other numbers than the file holds, or None.

    Of a TIFF in Lab it gives colours of its own. Of PNM files it scales the numbers to 255 only where they
    are text of at most 255; it takes the colours of a PAM in the wrong order, and of a PFM's float numbers no
    range is agreed on.
    """
    start = encoded[:2]
    if start in (b"PF", b"Pf"):
        return "a PFM picture has float numbers of no stated range; save it as PNG"
    if start == b"P7":
        return "a PAM picture, whose colours OpenCV mixes up; save it as PNG"
    if _tiff_fields(encoded)[0].get(_PHOTOMETRIC) in _LAB:
        return "a TIFF in Lab colours, which programs convert differently; save it in RGB"
    return _what_is_not_scaled(encoded) if start in _PNM_STARTS else None


def _what_is_not_scaled(encoded: bytes) -> str | None:
    """Return why OpenCV would not take a PNM's largest number for white, or None."""
    found = _PNM.match(encoded[:_HEADER])
    if found is None:  # OpenCV takes some of these
        return "its header is not that of a PNM picture: size, largest number, then a space; save it as PNG"
    largest = int(found[2])
    if largest in (255, 65535) or (found[1] in _TEXT and largest < 255):
        return None
    return f"its largest number is {largest}, which OpenCV does not scale to white; save it as PNG"


def with_colours_as_stored(encoded: bytes) -> bytes:
    """Return a picture that OpenCV decodes to the colours that are stored.

    Of a TIFF with red, green, blue and an opacity in 8 bits it would give colours times opacity (libtiff's
    RGBA interface, as of "unassociated alpha"), which it does for no other format. Such a file is changed to
    say that the fourth number has no stated meaning. Every other file is returned as it is.
    """
    fields, places = _tiff_fields(encoded)
    stated = (fields.get(_BITS), fields.get(_PHOTOMETRIC), fields.get(_SAMPLES), fields.get(_EXTRA))
    if stated != (8, _RGB, _RGB_AND_ALPHA, _UNASSOCIATED):
        return encoded
    return encoded[: places[_EXTRA]] + b"\0\0" + encoded[places[_EXTRA] + 2 :]


def _has_16_bits(encoded: bytes) -> bool:
    """Whether a PNG, TIFF or PNM has numbers of 16 bits."""
    if encoded.startswith(b"\x89PNG"):
        return encoded[_PNG_BITS : _PNG_BITS + 1] == b"\x10"
    found = _PNM.match(encoded[:_HEADER])
    return int(found[2]) > 255 if found else _tiff_fields(encoded)[0].get(_BITS) == 16


def what_is_nearly_black(encoded: bytes, pixels: NDArray[np.uint8]) -> str | None:
    """Return why a picture of 16-bit numbers, decoded to `pixels`, is black by mistake, or None.

    Cameras and microscopes store 8 to 12 bits in numbers of 16, and some programs write them so unscaled.
    """
    if not _has_16_bits(encoded) or pixels.max() > _NEARLY_BLACK:
        return None
    return (
        "its numbers of 16 bits are so small that all of it is black or nearly so, as where 12 bits are"
        " stored without scaling; scale them so that white is 65535"
    )


def _tiff_fields(encoded: bytes) -> tuple[dict[int, int], dict[int, int]]:
    """Return the short fields of a TIFF's first directory by tag: their first values, and where those stand.

    Both are empty for another file, and for one that is cut off, which the decoder refuses.
    """
    fields: dict[int, int] = {}
    places: dict[int, int] = {}
    if encoded[:4] not in (b"II*\0", b"MM\0*"):
        return fields, places
    order = "<" if encoded[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(order + "I", encoded, 4)
        (count,) = struct.unpack_from(order + "H", encoded, at)
        for entry in range(min(count, _IFD_ENTRIES)):
            place = at + 2 + 12 * entry
            tag, kind, number, value = struct.unpack_from(order + "HHIH", encoded, place)
            if tag == _BITS and number > 2:
                (offset,) = struct.unpack_from(order + "I", encoded, place + 8)
                (value,) = struct.unpack_from(order + "H", encoded, offset)
            if kind == _SHORT:
                fields[tag], places[tag] = value, place + 8
    except struct.error:
        return {}, {}
    return fields, places


def what_is_not_decoded(encoded: bytes) -> str:
    """Return what a file is that OpenCV gives no picture for, and what to do."""
    if not encoded:
        return "the file is empty"
    if encoded[4:8] == b"ftyp":
        return "a HEIC or AVIF picture, which this OpenCV cannot decode; convert it to JPEG"
    for start, kind in _KINDS:
        if encoded.startswith(start):
            return f"{kind}, which OpenCV cannot decode; convert it to PNG or JPEG"
    if encoded[:2] in (b"P2", b"P3"):
        return "a picture in text that is cut off, or has no line break at its end; save it as PNG"
    return "not a picture that OpenCV can decode; if it is one, convert it to PNG or JPEG"
