"""Keeps libjpeg silent about what does no harm.

Of each JPEG libjpeg tells only its first warning. If that is a harmless one, damage behind it is not
reported.
"""

from __future__ import annotations

import re
from typing import Iterator, Tuple

from .picture_damage import MARKER

_SOF2, _EOI, _SOS, _APP0, _APP14 = 0xC2, 0xD9, 0xDA, 0xE0, 0xEE
_FRAMES = (0xC0, 0xC1, _SOF2)
_ALONE = (0x01, 0xD8)
_OTHER_MARKER = re.compile(b"\xff[\x02-\xbf\xd0-\xd7]")
_ALL_COEFFICIENTS = b"\0\x3f\0"
_TRANSFORMS = {3: (0, 1), 4: (0, 2)}
"""By components: Adobe's numbers for what the colours are. libjpeg takes others as the last."""
_Change = Tuple[int, int, bytes]


def without_harmless_warnings(jpeg: bytes) -> bytes:
    """Return a JPEG with the same picture, without these causes of warnings of libjpeg (jerror.h).

    Bytes between the segments before the picture; a scan of a sequential picture that names other
    coefficients than all; a version of JFIF and a number of Adobe's for colours that are not known.
    """
    if jpeg[:2] != b"\xff\xd8":
        return jpeg
    changes: list[_Change] = []
    frame, components, adobe, in_scans = 0, 0, -1, False
    for gap, begin, kind, data, end in _segments(jpeg):
        if begin > gap > 2 and not in_scans and not _OTHER_MARKER.search(jpeg, gap, begin):
            changes.append((gap, begin, b""))
        if kind in _FRAMES:
            frame, components = kind, int.from_bytes(jpeg[data + 5 : data + 6], "big")
        elif kind == _APP14 and jpeg[data : data + 5] == b"Adobe" and end >= data + 12:
            adobe = data + 11
        elif kind == _APP0 and jpeg[data : data + 5] == b"JFIF\0" and end >= data + 14:
            changes.append((data + 5, data + 6, b"\1"))
        in_scans |= kind == _SOS
        if kind == _SOS and frame != _SOF2 and end >= data + 6:
            changes.append((end - 3, end, _ALL_COEFFICIENTS))
    known = _TRANSFORMS.get(components, ())
    if adobe >= 0 and known and jpeg[adobe] not in known:
        changes.append((adobe, adobe + 1, bytes([known[-1]])))
    return _changed(jpeg, changes)


def _segments(jpeg: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield the end of the segment before, the marker's place, its number, and its data's begin and end."""
    place = 2
    while True:
        marker = MARKER.search(jpeg, place)
        if marker is None or jpeg[marker.end() - 1] == _EOI:
            return
        kind, data = jpeg[marker.end() - 1], marker.end() + 2
        end = data - 2
        if kind not in _ALONE:
            end += int.from_bytes(jpeg[end:data], "big")
        yield place, marker.start(), kind, data, end
        place = end


def _changed(content: bytes, changes: list[_Change]) -> bytes:
    parts, done = [], 0
    for begin, end, new in sorted(changes):
        if content[begin:end] != new:
            parts += [content[done:begin], new]
            done = end
    return b"".join([*parts, content[done:]]) if parts else content
