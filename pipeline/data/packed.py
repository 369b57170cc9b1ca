"""Encoded pictures packed into `<split>_jpeg.npz`.

Arrays: data (uint8, all files end to end), offsets (int64 [N + 1]), labels (integers [N]). Class names are in
classes.txt. NumPy's own loader allocates whatever a header declares, so sizes are checked here first.
"""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.classes import read_classes
from pipeline.data.dataset import Dataset
from pipeline.data.images import PackedImages
from pipeline.data.tree import ZIP_DAMAGE
from pipeline.errors import DataError
from pipeline.reading.npy_file import read_header
from pipeline.reading.plain_file import most_unpacked
from pipeline.reading.reading_limits import ARRAY_BYTES
from pipeline.reading.zip_file import open_zip

ENDING = "_jpeg.npz"


def find_packs(folder: Path) -> dict[str, Path]:
    """Return the packs in `folder` by split."""
    return {path.name.removesuffix(ENDING): path for path in sorted(folder.glob(f"*{ENDING}"))}


def open_packs(folder: Path) -> Dataset:
    """Open the packs in `folder`. Raises DataError without classes.txt."""
    classes = read_classes(folder)
    if classes is None:
        raise DataError(
            f"{folder} has packs of images but no classes.txt. Write the class names there, one per line."
        )
    stored = {split: partial(_read_pack, path) for split, path in find_packs(folder).items()}
    return Dataset(str(folder), classes, stored)


def _read_pack(path: Path) -> PackedImages:
    try:
        with open_zip(path) as archive:
            data = _read_array(archive, "data", path)
            offsets = _read_array(archive, "offsets", path)
            labels = _read_array(archive, "labels", path)
    except ZIP_DAMAGE as error:
        raise DataError(f"{path} is damaged: {error}. Copy it again.") from error
    if data.dtype != np.uint8 or offsets.dtype != np.int64 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path} has data {data.dtype}, offsets {offsets.dtype} and labels {labels.dtype};"
            " expected uint8, int64 and integers."
        )
    if len(offsets) != len(labels) + 1:
        raise DataError(
            f"{path} has {len(offsets)} offsets for {len(labels)} labels; expected one more than labels."
        )
    if offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        raise DataError(f"{path} has offsets that do not rise from 0 to {len(data)}, the length of its data.")
    return PackedImages(
        path.name, np.asarray(data, np.uint8), np.asarray(offsets, np.int64), labels.astype(np.int64)
    )


def _read_array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[np.generic]:
    """Read a one-dimensional array, after checking its header against its size."""
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        held = ", ".join(archive.namelist()) or "nothing"
        raise DataError(f"{path} has no array {name}; it holds {held}.") from None
    with archive.open(member) as file:
        try:
            header = read_header(file, member.file_size)
        except ValueError as error:
            raise DataError(f"{path}: {name} {error}.") from error
        most = min(ARRAY_BYTES, most_unpacked(path))
        if len(header.shape) != 1 or header.size > most:
            raise DataError(
                f"{path}: {name} is declared as {header.dtype} {list(header.shape)};"
                f" expected one dimension of numbers, and at most {most:,} bytes, as pictures pack badly."
            )
        return np.frombuffer(file.read(), header.dtype)
