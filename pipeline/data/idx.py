"""The idx format of MNIST and Fashion-MNIST, plain or gzipped.

Specification: http://yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
"""

import gzip
import hashlib
import struct
import zlib
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.classes import read_classes
from pipeline.data.dataset import Dataset
from pipeline.data.images import PixelImages
from pipeline.errors import DataError
from pipeline.reading.plain_file import is_plain, most_unpacked
from pipeline.reading.reading_limits import IDX_BYTES
from targets.runtime.device_limits import PIXELS

SPLITS = {"train": "train", "t10k": "test", "calibration": "calibration"}
"""Prefixes of file names, and the split of each."""

UNSIGNED_BYTE = 0x08

FASHION_MNIST_TEST_LABELS = "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9"
"""The sha256 of Fashion-MNIST's 10,000 test labels: MNIST's files have the same names."""

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def find_splits(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return the files of images and labels by split, for those splits whose images are in `folder`."""
    found = {}
    for prefix, split in SPLITS.items():
        images = _either(folder / f"{prefix}-images-idx3-ubyte")
        if images is not None:
            labels = folder / f"{prefix}-labels-idx1-ubyte"
            found[split] = images, _either(labels) or labels
    return found


def open_idx(folder: Path) -> Dataset:
    """Open the idx files in `folder`; class names are those of classes.txt, known ones, or numbers."""
    splits = find_splits(folder)
    stored = {split: partial(_read_split, *files) for split, files in splits.items()}
    return Dataset(str(folder), _classes(folder, splits), stored)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write uint8 `array` as a gzipped idx file, the same bytes each time."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    packed = gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0)
    path.write_bytes(packed[:9] + b"\x03" + packed[10:])  # the system: Python 3.13 writes another byte


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read uint8 [N, ...] with `dimensions` dimensions; unpacked files are memory-mapped.

    Raises DataError for a missing or damaged file, another element type, or a length that differs from the
    header.
    """
    if not is_plain(path):
        raise DataError(f"{path} is missing, plain or as .gz.")
    header_size = 4 + 4 * dimensions
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            shape = _shape(file.read(header_size), dimensions, path)
            announced = int(np.prod(shape, dtype=object))
            if path.suffix != ".gz":
                _check_length(path.stat().st_size - header_size, announced, path)
                return (
                    np.memmap(path, np.uint8, "r", header_size, shape)
                    if announced
                    else np.empty(shape, np.uint8)
                )
            if announced > min(IDX_BYTES, most_unpacked(path)):
                raise DataError(
                    f"{path} unpacks to {announced:,} bytes, too many for memory. Unpack it with gunzip."
                )
            content = file.read(announced + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}. Copy or download it again.") from error
    _check_length(len(content), announced, path)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(header: bytes, dimensions: int, path: Path) -> tuple[int, ...]:
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes((0, 0, UNSIGNED_BYTE, dimensions)):
        raise DataError(
            f"{path} is not an idx file of unsigned bytes in {dimensions} dimensions: it begins"
            f" {header[:4].hex(' ')}, expected 00 00 08 {dimensions:02x}."
        )
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", header[4:])
    if not 1 <= (pixels := prod(shape[1:])) <= PIXELS:
        raise DataError(
            f"{path} has pictures of {' x '.join(map(str, shape[1:]))} pixels; from 1 to {PIXELS:,} are"
            f" allowed, not {pixels:,}."
        )
    return shape


def _check_length(found: int, announced: int, path: Path) -> None:
    if found != announced:
        held = "more" if found > announced else f"only {found:,}"
        raise DataError(
            f"{path} should have {announced:,} bytes according to its header, and has {held}. Copy or"
            " download it again."
        )


def _read_split(images_file: Path, labels_file: Path) -> PixelImages:
    pixels, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(pixels) != len(labels):
        raise DataError(f"{images_file} has {len(pixels)} images, {labels_file} has {len(labels)} labels.")
    return PixelImages(images_file.name, pixels[:, :, :, None], labels.astype(np.int64))


def _classes(folder: Path, splits: dict[str, tuple[Path, Path]]) -> tuple[str, ...]:
    """Return class names from classes.txt, those of Fashion-MNIST, or numbers."""
    named = read_classes(folder)
    if named is not None:
        return named
    labels = {split: read_idx(files[1], 1) for split, files in splits.items()}
    test = labels.get("test", np.empty(0, np.uint8))
    if hashlib.sha256(test.tobytes()).hexdigest() == FASHION_MNIST_TEST_LABELS:
        return FASHION_MNIST_CLASSES
    highest = max((int(found.max()) for found in labels.values() if len(found)), default=-1)
    return tuple(map(str, range(highest + 1)))


def _either(plain: Path) -> Path | None:
    """Return the plain file or the gzipped one, whichever exists."""
    return next((path for path in (plain, plain.with_name(plain.name + ".gz")) if path.is_file()), None)
