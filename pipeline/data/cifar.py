"""CIFAR-10's own python batches: https://www.cs.toronto.edu/~kriz/cifar.html.

They are pickles, which can run any code when loaded. The unpickler here allows only dictionaries, lists,
bytes, numbers and arrays of uint8, and builds the arrays itself instead of NumPy's unpickler.
"""

import io
import pickle
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.dataset import Dataset
from pipeline.data.images import PixelImages
from pipeline.errors import DataError
from pipeline.reading.pickle_steps import check_steps
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import BATCH_BYTES

TRAIN = tuple(f"data_batch_{n}" for n in range(1, 6))
TEST = ("test_batch",)
ROW = 3 * 32 * 32
DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, MemoryError, struct.error)
"""What an unpickler raises for damaged bytes, besides UnpicklingError."""


def find_batches(folder: Path) -> Path | None:
    """Return the folder with the batches: `folder` or its subfolder cifar-10-batches-py."""
    candidates = (folder, folder / "cifar-10-batches-py")
    return next((each for each in candidates if (each / TEST[0]).is_file()), None)


def open_batches(folder: Path) -> Dataset:
    """Open the batches in `folder`; splits are read when used. Raises DataError for unreadable names."""
    names = _load(folder / "batches.meta").get(b"label_names")
    if not isinstance(names, list) or not all(isinstance(name, bytes) for name in names):
        raise DataError(f"{folder / 'batches.meta'} has no list of label_names.")
    classes = tuple(name.decode("utf-8", "replace") for name in names)
    stored = {"train": partial(_read_split, folder, TRAIN), "test": partial(_read_split, folder, TEST)}
    return Dataset(str(folder), classes, stored)


def _read_split(folder: Path, batches: tuple[str, ...]) -> PixelImages:
    parts = [_read_batch(folder / batch) for batch in batches]
    rows = np.concatenate([rows for rows, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    pixels = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)  # stored plane by plane
    return PixelImages(batches[0] if len(batches) == 1 else "data_batch_*", pixels, labels)


def _read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content = _load(path)
    array, labels = content.get(b"data"), content.get(b"labels")
    if not isinstance(array, _Array) or not isinstance(labels, list):
        raise DataError(f"{path} has no array `data` and list `labels`.")
    if not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise DataError(f"{path} has labels that are not integers from 0 to 255.")
    rows = array.rows(path)
    if rows.shape != (len(labels), ROW):
        raise DataError(
            f"{path} has data of shape {list(rows.shape)}; expected {len(labels)} labels x {ROW}."
        )
    return rows, np.array(labels, np.int64)


def _load(path: Path) -> dict[Any, Any]:
    if not path.is_file():
        raise DataError(f"{path} is missing.")
    try:
        batch = read_plain(path, BATCH_BYTES)
        check_steps(io.BytesIO(batch))
        content = _CifarUnpickler(io.BytesIO(batch), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{path} is not a batch of CIFAR-10 that can be read safely: {error}.") from error
    except DAMAGE as error:
        raise DataError(f"{path} is damaged: {error}. Copy or download it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds {type(content).__name__}, not a dictionary.")
    return content


class _Dtype:
    """Replaces numpy.dtype while unpickling."""

    def __init__(self, name: object, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment, which do not matter for single bytes."""


class _Array:
    """Replaces an array while unpickling; keeps the state that NumPy's array would get."""

    state: tuple[object, ...] = ()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.state = state

    def rows(self, path: Path) -> NDArray[np.uint8]:
        """Return uint8 [height, width]. Raises DataError for another type or length."""
        match self.state:
            case (
                _,
                (int() as height, int() as width),
                _Dtype(name=b"u1" | "u1"),
                False | 0,
                bytes() as data,
            ):
                if height * width == len(data) and height >= 0 <= width:
                    return np.frombuffer(data, np.uint8).reshape(height, width)
        raise DataError(f"{path}: `data` is not a uint8 array whose bytes fill its shape.")


class _CifarUnpickler(pickle._Unpickler):
    """Refuses every name except those that an array of bytes needs.

    Uses the unpickler written in Python: for ten malicious bytes (LONG_BINPUT), the one in C allocates
    gigabytes.
    """

    ALLOWED: dict[tuple[str, str], Callable[..., object]] = {  # noqa: RUF012 -- never written to
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): lambda text, _: text.encode("latin-1"),  # bytes, in protocol 2
    }

    def find_class(self, module: str, name: str) -> Callable[..., object]:
        """Return the replacement of an allowed name. Raises UnpicklingError for any other."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which was not run")
        return self.ALLOWED[module, name]
