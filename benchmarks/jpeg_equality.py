"""Whether the decoder of JPEGs in C gives the pixels that OpenCV gives, or refuses the file.

python -m benchmarks.jpeg_equality --files 5000 --seed 1

Files that OpenCV writes, files of every kind by the specification, and changed ones of both. Each is decoded
to gray and to RGB by both. The exit status is 1 if a picture differs.
"""

import argparse
import ctypes
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from targets.runtime.preprocess import ImageError, decode
from targets.runtime.zig import run_zig
from targets.tvm.link import NATIVE, PICTURES
from tests.targets.runtime.native.jpeg_files import JpegKind, adobe, jfif, jpeg, segment
from tests.targets.runtime.native.png_files import exif

MOST_BLOCKS = 10
"""Of an MCU with several components."""
SAMPLINGS = (0x411111, 0x221111, 0x211111, 0x121111, 0x111111)


class DecodedPicture(ctypes.Structure):
    """edgec_picture of picture.h."""

    _fields_ = (
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("pixels", ctypes.POINTER(ctypes.c_uint8)),
    )


Decoder = Callable[[bytes, int], NDArray[np.uint8] | None]


def in_c(folder: Path) -> Decoder:
    """Compile the decoder; it returns None for a file that it refuses. Raises RuntimeError."""
    sources = [NATIVE / name for name in PICTURES]
    made = run_zig(["-O2", "-shared", "-fPIC", f"-I{NATIVE}"], sources, folder / "decoder.so")
    if made.returncode:
        raise RuntimeError(made.stderr)
    library, libc = ctypes.CDLL(str(folder / "decoder.so")), ctypes.CDLL(None)
    library.edgec_decode_picture.restype = ctypes.c_char_p

    def decoded(content: bytes, channels: int) -> NDArray[np.uint8] | None:
        buffer = ctypes.create_string_buffer(content, len(content))
        found = DecodedPicture()
        size = ctypes.c_size_t(len(content))
        if library.edgec_decode_picture(buffer, size, channels, ctypes.byref(found)):
            return None
        pixels = np.ctypeslib.as_array(found.pixels, (found.height, found.width, channels)).copy()
        libc.free(found.pixels)
        return pixels

    return decoded


def by_opencv(content: bytes, channels: int) -> NDArray[np.uint8] | None:
    """Decode as calibration does."""
    try:
        return decode(content, channels)
    except ImageError:
        return None


def written(rng: np.random.Generator) -> bytes:
    """Return a file of OpenCV's encoder."""
    height, width = (int(one) for one in rng.integers(1, 150, 2))
    small = rng.integers(0, 256, (*rng.integers(1, 40, 2), 3), np.uint8)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(1, 101))),
        *(cv2.IMWRITE_JPEG_PROGRESSIVE, int(rng.integers(2))),
        *(cv2.IMWRITE_JPEG_OPTIMIZE, int(rng.integers(2))),
        *(cv2.IMWRITE_JPEG_RST_INTERVAL, int(rng.integers(5))),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[rng.integers(len(SAMPLINGS))]),
    ]
    if rng.random() < 0.2:
        return bytes(cv2.imencode(".jpg", picture[:, :, 0], options[:-2])[1])
    return bytes(cv2.imencode(".jpg", picture, options)[1])


def specified(rng: np.random.Generator) -> bytes:
    """Return a file of any kind."""
    while True:
        count = int(rng.choice([1, 3, 3, 3, 4]))
        sampling = tuple((int(a), int(b)) for a, b in rng.choice([1, 1, 1, 2, 2, 3, 4], (count, 2)))
        if rng.random() < 0.6:
            sampling = (sampling[0], *((1, 1) for _ in sampling[1:]))
        if sum(across * down for across, down in sampling) <= MOST_BLOCKS:
            break
    marks = [jfif(), adobe(int(rng.integers(4))), segment(0xE1, b"Exif\0\0" + exif(int(rng.integers(10))))]
    kind = JpegKind(
        sampling,
        names=(b"\1\2\3\4", b"RGBA", b"\0\1\2\3")[rng.integers(3)],
        progressive=bool(rng.integers(2)),
        apart=bool(rng.integers(2)),
        restart=int(rng.choice([0, 0, 1, 2, 5])),
        lowest=int(rng.integers(4)),
        largest=int(rng.choice([3, 40, 1000, 16000])),
        markers=tuple(one for one in marks if rng.integers(2)),
        wide_steps=rng.random() < 0.2,
    )
    height, width = (int(one) for one in rng.integers(1, 50, 2))
    return jpeg(kind, height, width, rng)


def changed(rng: np.random.Generator) -> bytes:
    """Return a file with a few bytes changed, added or left out."""
    content = bytearray(specified(rng) if rng.integers(2) else written(rng))
    for _ in range(rng.integers(1, 4)):
        at, value = (
            int(rng.integers(len(content))),
            int(rng.choice([0, 1, 17, 128, 255, int(rng.integers(256))])),
        )
        kind = rng.integers(6)
        if kind < 3:
            content[at] = value
        elif kind == 3:
            content[at] ^= 1 << int(rng.integers(8))
        elif kind == 4:
            content[at:at] = bytes([value])
        else:
            del content[at : at + int(rng.integers(1, 5))]
    return bytes(content)


def compare(files: list[bytes], ours: Decoder) -> tuple[Counter[str], list[bytes]]:
    """Return how often the two agree, and the files that they decode to different pixels."""
    tally: Counter[str] = Counter()
    different = []
    for content in files:
        for channels in (1, 3):
            one, other = ours(content, channels), by_opencv(content, channels)
            if one is None or other is None:
                tally["neither" if one is other else "OpenCV alone" if one is None else "C alone"] += 1
            elif one.shape == other.shape and np.array_equal(one, other):
                tally["equal"] += 1
            else:
                tally["different"] += 1
                different.append(content)
    return tally, different


def main() -> None:
    """Compare, and print a row for each way that files are made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=5000, help="of each way")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for files that differ")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    columns = ("equal", "different", "neither", "C alone", "OpenCV alone")
    print("| files | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    wrong: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="edgec-jpeg-") as scratch:
        ours = in_c(Path(scratch))
        for make in (written, specified, changed):
            tally, different = compare([make(rng) for _ in range(arguments.files)], ours)
            cells = " | ".join(f"{tally[one]:,}" for one in columns)
            print(f"| {make.__name__} | {cells} |", flush=True)
            wrong += different
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(wrong):
            (arguments.keep / f"{number}.jpg").write_bytes(content)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
