"""The static program reads a PNG as OpenCV does, or refuses it: never another picture."""

import os
import struct
import subprocess
import zlib
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.preprocess import ImageError, decode
from tests.targets.runtime.native.pixel_program import by_opencv, read
from tests.targets.runtime.native.png_files import (
    DEPTHS,
    GRAY,
    PALETTE,
    RGB,
    SIGNATURE,
    Kind,
    chunk,
    exif,
    png,
)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_picture_is_read_as_opencv_reads_it(
    program: Path, channels: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(channels)
    kinds = [Kind(color, depth) for color, depths in DEPTHS.items() for depth in depths]
    kinds += [Kind(one.color, one.depth, interlaced=True) for one in kinds]
    sizes = [(1, 1), (3, 5), (8, 8), (13, 17)]
    files = [png(kind, *size, rng) for kind, size in product(kinds, sizes)]
    found = read(program, channels, files, tmp_path)
    assert found == [by_opencv(content, channels) for content in files]


def test_pictures_are_turned_upright(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    turned = [
        Kind(RGB, 8, interlaced, orientation, big_endian, late)
        for orientation in range(10)
        for interlaced, big_endian, late in product([False, True], repeat=3)
    ]
    files = [png(kind, 4, 7, rng) for kind in turned]
    found = read(program, 3, files, tmp_path)
    assert found == [by_opencv(content, 3) for content in files]
    assert {line.partition(":")[0] for line in found} == {"4 x 7", "7 x 4"}


def changed(content: bytes, name: bytes, to: bytes | None) -> bytes:
    """Return a file with a byte changed in the first chunk of a name, or with another chunk in its place."""
    at = content.index(name)
    length = int.from_bytes(content[at - 4 : at], "big")
    if to is not None:
        return content[: at - 4] + to + content[at + 8 + length :]
    place = at + 4 + length // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_what_opencv_refuses_is_refused(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain, turned = (png(Kind(RGB, 8, orientation=o), 6, 6, rng) for o in (None, 6))
    palette, gray = png(Kind(PALETTE, 4), 6, 6, rng), png(Kind(GRAY, 8), 6, 6, rng)
    note = chunk(b"tEXt", b"Title\0picture")
    noted = changed(plain, b"IEND", note + chunk(b"IEND", b""))
    files = {
        "a checksum of pixels": changed(plain, b"IDAT", None),
        "a checksum of eXIf": changed(turned, b"eXIf", None),
        "a checksum of a note": changed(noted, b"tEXt", None),
        "a checksum of the end": plain[:-1] + bytes([plain[-1] ^ 1]),
        "no palette": changed(palette, b"PLTE", b""),
        "no end": plain[: plain.index(b"IEND") - 4],
        "half of it": plain[: len(plain) // 2],
        "half of the pixels": changed(plain, b"IDAT", b""),
        "an unknown part": changed(plain, b"IEND", chunk(b"ABCD", b"x") + chunk(b"IEND", b"")),
        "two headers": changed(plain, b"IDAT", plain[8:33] + chunk(b"IDAT", b"")),
        "no picture": b"JFIF",
        "other sums": changed(gray, b"IDAT", chunk(b"IDAT", zlib.compress(b"\0" * 42)[:-4] + b"abcd")),
    }
    told = read(program, 3, list(files.values()), tmp_path)
    for (what, content), line in zip(files.items(), told, strict=True):
        assert " x " not in line, what
        assert by_opencv(content, 3) is None, what
    assert by_opencv(noted, 3) == by_opencv(plain, 3) is not None


@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_of_16_bits_that_hold_fewer_are_refused(program: Path, channels: int, tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 7 * 5 * 3).reshape(7, 5, 3)
    largest = [0, 255, 4095, 5000, 65535]
    files = [cv2.imencode(".png", (ramp * n).astype(np.uint16))[1].tobytes() for n in largest]
    files.append(cv2.imencode(".png", (ramp * 12).astype(np.uint8))[1].tobytes())
    expected = [by_opencv(content, channels) for content in files]
    for line, pixels in zip(read(program, channels, files, tmp_path), expected, strict=True):
        assert line == pixels if pixels else "scale them so that white is 65535" in line
    assert [pixels is not None for pixels in expected] == [False] * 3 + [True] * 3


def test_of_two_orientations_the_first_counts(program: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    turned = png(Kind(RGB, 8, orientation=6), 4, 7, rng)
    twice = changed(turned, b"IEND", chunk(b"eXIf", exif(1)) + chunk(b"IEND", b""))
    assert read(program, 3, [twice], tmp_path) == [by_opencv(twice, 3)]


def sized(width: int, height: int, depth: int = 8, color: int = GRAY) -> bytes:
    """A file that declares a size, with image data that unpacks to more than anybody has."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    packed = zlib.compress(bytes(1 << 20))
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(4097, 4096), (16384, 16384), (1 << 31, 1), (65536, 65536)])
def test_a_picture_too_large_is_refused_before_memory_is_taken_for_it(
    program: Path, tmp_path: Path, width: int, height: int
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(sized(width, height))
    shell = f"ulimit -v 65536; exec {program} 3 {path}"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "the picture's size is out of range\n"


def test_a_path_that_is_not_a_plain_file_is_not_waited_for(program: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    places = [str(tmp_path / "pipe"), "/dev/zero", str(tmp_path)]
    done = subprocess.run(
        [str(program), "3", *places], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "the picture cannot be read\n" * 3


def test_opencv_is_told_the_limit_too() -> None:
    with pytest.raises(ImageError):
        decode(sized(8193, 4096), 3)
    with pytest.raises(ImageError):
        decode(b"\x89PNG", 3)
