"""Finds damage in picture files that OpenCV does not report: it fills in missing parts instead."""

from __future__ import annotations

import os
import re
import sys
import threading
import zlib
from contextlib import contextmanager
from typing import Iterator

from .device_limits import JPEG_SCANS, PICTURE_PARTS
from .picture_memory import what_is_too_large

MARKER = re.compile(b"\xff[\x01\xc0-\xcf\xd8-\xfe]")  # of a JPEG segment; not RSTn, nor FF 00 within a scan
PNG = b"\x89PNG\r\n\x1a\n"
HEARD = re.compile(
    rb"^(Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0xd9)"
    rb"|Premature end of JPEG|Inconsistent progression).*$",
    re.MULTILINE,
)
"""Messages of libjpeg for missing or undecodable data (jerror.h).

Bytes too many do no harm before the end marker. Elsewhere damage may follow: only the first warning is told.
"""
TURNED = re.compile(rb"\0\0\0\x09(?:irot[\x01-\x03]|imir[\0\x01])")
"""What turns or mirrors an AVIF (ISO/IEC 23008-12, 6.5.10 and 6.5.12). OpenCV passes it over."""
_STDERR = 2
_MOST = 1 << 20  # bytes
_LOCK = threading.Lock()


def what_is_damaged(encoded: bytes) -> str | None:
    """Return what is wrong with a picture before it is decoded: what no decoder reports, or its size.

    None if it is whole, or of a format without checks.
    """
    if encoded[4:8] == b"ftyp" and b"avif" in encoded[8:64] and TURNED.search(encoded):
        return "the AVIF is to be turned or mirrored, and OpenCV does neither; convert it to JPEG or PNG"
    if encoded[:2] == b"\xff\xd8":
        return _wrong_segment(encoded)
    return (_wrong_chunk(encoded) if encoded[:8] == PNG else None) or what_is_too_large(encoded)


@contextmanager
def listening(encoded: bytes) -> Iterator[list[str]]:
    """Collect libjpeg's messages about damage while a JPEG is decoded; the list is filled at the end.

    libjpeg writes them to the process's standard error stream, and OpenCV does not report them. Other output
    to that stream is passed on afterwards.
    """
    messages: list[str] = []
    if encoded[:2] != b"\xff\xd8":
        yield messages
        return
    with _LOCK:
        if sys.stderr is not None:
            sys.stderr.flush()
        kept = _kept()
        written = os.memfd_create("libjpeg")
        os.dup2(written, _STDERR)
        try:
            yield messages
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            output = os.pread(written, _MOST, 0)
            os.close(written)
            if output:
                messages += [match.group().decode("ascii", "replace") for match in HEARD.finditer(output)]
                rest = HEARD.sub(b"", output).strip()
                if rest:
                    os.write(_STDERR, rest + b"\n")


def _kept() -> int:
    """Return a copy of the standard error stream, or of nothing where it is closed."""
    try:
        return os.dup(_STDERR)
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, _STDERR)  # else whatever file is opened next would be written to
        return nothing if nothing != _STDERR else os.dup(_STDERR)


def _wrong_segment(jpeg: bytes) -> str | None:
    """Follow the segments to the end marker (ITU-T T.81, B.1.1); phones append films to pictures."""
    place = 2
    scans = 0
    for _ in range(PICTURE_PARTS):
        marker = MARKER.search(jpeg, place)
        if marker is None:
            return "the JPEG is cut off: its end marker is missing"
        if marker.group() == b"\xff\xd9":
            return None
        scans += marker.group() == b"\xff\xda"
        if scans > JPEG_SCANS:
            return f"the JPEG has more than {JPEG_SCANS} scans, each of which goes over the whole picture"
        alone = marker.group() in (
            b"\xff\x01",
            b"\xff\xd8",
        )  # TEM and SOI; all others begin with their length
        place = marker.end() + (0 if alone else int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big"))
    return f"the JPEG has more than {PICTURE_PARTS} segments"


def _wrong_chunk(png: bytes) -> str | None:
    """Compare the checksums (ISO/IEC 15948, 5.3): OpenCV decodes without a part whose checksum is wrong."""
    place = len(PNG)
    for _ in range(PICTURE_PARTS):
        if place + 12 > len(png):
            break
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")
        kind = png[place + 4 : place + 8]
        if end > len(png):
            break
        if zlib.crc32(png[place + 4 : end - 4]) != int.from_bytes(png[end - 4 : end], "big"):
            return f"the PNG is damaged: the checksum of its {kind.decode('ascii', 'replace')} is wrong"
        if kind == b"IEND":
            return None
        place = end
    else:
        return f"the PNG has more than {PICTURE_PARTS} chunks"
    return "the PNG is cut off: its end is missing"
