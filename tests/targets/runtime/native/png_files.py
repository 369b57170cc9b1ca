"""PNG files of every kind, written by the specification (ISO/IEC 15948)."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
DEPTHS = {
    GRAY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GRAY_ALPHA: (8, 16),
    RGB_ALPHA: (8, 16),
}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Kind:
    """How a picture is stored. `late`: whether eXIf is behind the image data."""

    color: int
    depth: int
    interlaced: bool = False
    orientation: int | None = None
    big_endian: bool = False
    late: bool = False


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def exif(orientation: int, big_endian: bool = False) -> bytes:
    """Return EXIF data with this one entry."""
    order = ">" if big_endian else "<"
    begin = b"MM\0*" if big_endian else b"II*\0"
    value = struct.pack(f"{order}HH", orientation, 0)
    return begin + struct.pack(f"{order}IHHHI", 8, 1, 0x112, 3, 1) + value + struct.pack(f"{order}I", 0)


def png(kind: Kind, height: int, width: int, rng: np.random.Generator) -> bytes:
    """Return a picture of random samples, each row with a random filter."""
    samples = rng.integers(0, 1 << kind.depth, (height, width, SAMPLES[kind.color]))
    header = struct.pack(">IIBBBBB", width, height, kind.depth, kind.color, 0, 0, kind.interlaced)
    passes = ADAM7 if kind.interlaced else ((0, 0, 1, 1),)
    parts = (samples[y::down, x::across] for x, y, across, down in passes)
    raw = b"".join(_filtered(part, kind, rng) for part in parts if part.size)
    told = b"" if kind.orientation is None else chunk(b"eXIf", exif(kind.orientation, kind.big_endian))
    palette = chunk(b"PLTE", rng.integers(0, 256, 3 << kind.depth, np.uint8).tobytes())
    packed = zlib.compress(raw)
    return b"".join(
        [
            SIGNATURE,
            chunk(b"IHDR", header),
            b"" if kind.late else told,
            palette if kind.color == PALETTE else b"",
            chunk(b"IDAT", packed[:7]),
            chunk(b"IDAT", packed[7:]),
            told if kind.late else b"",
            chunk(b"IEND", b""),
        ]
    )


def _filtered(samples: NDArray[np.int64], kind: Kind, rng: np.random.Generator) -> bytes:
    """Return rows of bytes, each behind the number of its filter; what the filter takes off is as given.

    The samples are random, so filters are applied to nothing: whatever the bytes are, they mean some picture.
    """
    rows = []
    for row in samples.reshape(len(samples), -1):
        if kind.depth == 16:
            packed = row.astype(">u2").tobytes()
        elif kind.depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - kind.depth :]
            packed = np.packbits(bits.ravel()).tobytes()
        rows.append(bytes([int(rng.integers(0, 5))]) + packed)
    return b"".join(rows)
