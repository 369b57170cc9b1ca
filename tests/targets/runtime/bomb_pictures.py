"""Pictures of a few bytes that declare many pixels, in the formats that OpenCV reads."""

import struct
import zlib

import cv2
import numpy as np


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def png(width: int, height: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """16 bits of four channels, all zero."""
    header = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    data = chunk(b"IDAT", zeros(height * (8 * width + 1)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND", b"")


def animated_png(width: int, height: int) -> bytes:
    place = struct.pack(">IIIIHHBB", width, height, 0, 0, 1, 1, 0, 0)
    before = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">I", 0) + place)
    second = struct.pack(">I", 2) + zeros(height * (8 * width + 1))
    return png(width, height, before, chunk(b"fcTL", struct.pack(">I", 1) + place) + chunk(b"fdAT", second))


def animated_webp(width: int, height: int) -> bytes:
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
    return b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + sides + bytes(90)


def gif(width: int, height: int) -> bytes:
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    return (
        b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3 + frame + b";"
    )


def tiff(width: int, height: int, order: str = "<", big: bool = False) -> bytes:
    """Three channels of 16 bits, deflated."""
    data = zeros(6 * width * height) if width * height < 1 << 25 else zeros(100)
    count, entry, word = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    first, tags = (16, 9) if big else (8, 9)
    at = first + struct.calcsize(order + count) + tags * struct.calcsize(order + entry) + (8 if big else 4)
    values = ((256, width), (257, height), (258, 16), (259, 8), (262, 2), (273, at), (277, 3), (278, height))
    rows = b"".join(
        struct.pack(order + entry, tag, 4, 1, value) for tag, value in (*values, (279, len(data)))
    )
    if big and order == ">":
        rows = b"".join(
            struct.pack(">HHQII", tag, 4, 1, value, 0) for tag, value in (*values, (279, len(data)))
        )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16) if big else struct.pack(order + "I", 8)
    return head + struct.pack(order + count, tags) + rows + struct.pack(order + word, 0) + data


def hdr(width: int, height: int) -> bytes:
    return f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode() + bytes(100)


def jpeg_2000(width: int, height: int) -> bytes:
    found = bytearray(cv2.imencode(".jp2", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
    at, header = found.index(b"\xff\x51"), found.index(b"ihdr")
    found[at + 6 : at + 14] = struct.pack(">II", width, height)
    found[header + 4 : header + 12] = struct.pack(">II", height, width)
    return bytes(found)


def progressive_jpeg(scans: int) -> bytes:
    """The last scan again and again."""
    settings = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    found = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), settings)[1].tobytes()
    last = found[found.rindex(b"\xff\xda") : -2]
    return found[:-2] + last * scans + found[-2:]
