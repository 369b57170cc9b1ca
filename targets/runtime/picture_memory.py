"""Sizes of pictures, from the file's beginning, where a decoder takes several times the picture's memory.

OpenCV's own limit is of pixels alone. It decodes all of an animation's canvas more than once, JPEG 2000 in
32 bits a channel, and so on: a file of a few hundred bytes could fill a small device.
"""

from __future__ import annotations

import re
import struct
from typing import Iterator

from .device_limits import DECODER_BYTES

BYTES_A_PIXEL = {
    "an animated PNG": 28,
    "a JPEG 2000": 18,
    "a Radiance HDR": 15,
    "an animated WebP": 12,
    "a GIF": 10,
    "a TIFF": 10,
}
"""Measured with OpenCV 4.11 and 5.0 at 50 megapixels, the largest of several kinds of each."""
_ANIMATED = 2  # a flag of VP8X
_SEARCHED = 1 << 16  # bytes, for a header that is not at a fixed place
_SIZ = re.compile(b"\xff\x4f\xff\x51....(.{16})", re.DOTALL)
_RESOLUTION = re.compile(rb"[-+][XY] +(\d{1,9}) +[-+][XY] +(\d{1,9})\n")
_IFD_ENTRIES = 4096


def what_is_too_large(encoded: bytes) -> str | None:
    """Return why a picture would take too much memory to decode, or None."""
    kind, width, height = next(_declared(encoded), ("", 0, 0))
    most = DECODER_BYTES // BYTES_A_PIXEL.get(kind, 1)
    if width * height <= most:
        return None
    return (
        f"{kind} of {width} x {height} pixels, which takes too much memory to decode; at most {most} pixels."
        " Save it smaller, or as JPEG or PNG"
    )


def _declared(encoded: bytes) -> Iterator[tuple[str, int, int]]:
    start = encoded[:_SEARCHED]
    try:
        if start[:8] == b"\x89PNG\r\n\x1a\n" and b"acTL" in start[: start.find(b"IDAT")]:
            yield ("an animated PNG", *struct.unpack(">II", start[16:24]))
        elif start[:4] == b"RIFF" and start[12:16] == b"VP8X" and start[20] & _ANIMATED:
            width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
            yield ("an animated WebP", width, height)
        elif start[:4] == b"GIF8":
            yield ("a GIF", *struct.unpack("<HH", start[6:10]))
        elif start[:2] in (b"II", b"MM"):
            yield from _tiff(encoded)
        elif start[:2] == b"#?" and (sizes := _RESOLUTION.search(start)):
            yield ("a Radiance HDR", int(sizes[2]), int(sizes[1]))
        elif sizes := _SIZ.search(start):
            right, bottom, left, top = struct.unpack(">4I", sizes[1])
            yield ("a JPEG 2000", max(0, right - left), max(0, bottom - top))
    except (struct.error, IndexError, OverflowError):
        return  # cut off, or an offset beyond every file: the decoder refuses it


def _tiff(encoded: bytes) -> Iterator[tuple[str, int, int]]:
    """Read the first image's ImageWidth and ImageLength (TIFF 6.0, section 2; BigTIFF has longer fields)."""
    order = "<" if encoded[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", encoded, 2)[0] == 43
    count, entry, word = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
    at = struct.unpack_from(order + word, encoded, 8 if big else 4)[0]
    entries = min(struct.unpack_from(order + count, encoded, at)[0], _IFD_ENTRIES)
    at += struct.calcsize(order + count)
    sides = {}
    for _ in range(entries):
        tag, kind, _number = struct.unpack_from(order + entry, encoded, at)
        if tag in (256, 257) and kind in (3, 4, 16):
            value = struct.unpack_from(
                order + {3: "H", 4: "I", 16: "Q"}[kind], encoded, at + (12 if big else 8)
            )
            sides[tag] = value[0]
        at += 20 if big else 12
    yield ("a TIFF", sides.get(256, 0), sides.get(257, 0))
