"""Files of Keras that hold no weights, or claim more than they hold: named, and not read."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline.errors import CheckpointError
from pipeline.models.keras import read_keras

KERNEL = "conv1_conv/conv1_conv/kernel:0"


def huge(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(1 << 40,), dtype="f4", chunks=(1 << 20,))


def elsewhere(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(8,), dtype="u1", external=[("/etc/hostname", 0, 8)])


def of_text(file: h5py.File) -> None:
    file[KERNEL] = "text"


def of_lists(file: h5py.File) -> None:
    file.create_dataset(KERNEL, (2,), dtype=h5py.vlen_dtype(np.float32))


def of_fields(file: h5py.File) -> None:
    file.create_dataset(KERNEL, (2,), dtype=np.dtype([("a", "f4")]))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (huge, "claims 1,099,511,627,776 numbers"),
        (elsewhere, "in another file"),
        (of_text, "not an array of numbers"),
        (of_lists, "not an array of numbers"),
        (of_fields, "not an array of numbers"),
    ],
)
def test_datasets_that_are_no_weights_are_named_and_not_read(
    write: Callable[[h5py.File], None], told: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write(file)
    with pytest.raises(CheckpointError, match=told):
        read_keras(tmp_path / "w.h5")


def test_a_keras_archive_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "w.keras", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("model.weights.h5", "w", force_zip64=True) as file,
    ):
        for _ in range(1100):
            file.write(bytes(1 << 20))
    with pytest.raises(CheckpointError, match="claims"):
        read_keras(tmp_path / "w.keras")


def hostile_h5(path: Path, how: str) -> None:
    with h5py.File(path, "w") as file:
        match how:
            case "fill values":
                file.create_dataset(KERNEL, (1 << 26,), "f4", chunks=(1 << 20,))
            case "fill values of one piece":
                file.create_dataset(KERNEL, (1 << 26,), "f4")
            case "packed":
                file.create_dataset(KERNEL, data=np.zeros(1 << 16, np.float32), compression="gzip")
            case "a piece larger than the array":
                file.create_dataset(KERNEL, (4,), "f4", chunks=(1 << 26,), maxshape=(None,))
            case "one array under many names":
                file["big"] = np.zeros(1 << 20, np.float32)
                for number in range(50):
                    file[f"conv{number}/kernel:0"] = file["big"]
            case _:
                file["a/b"] = h5py.SoftLink("/a")
                file["a/itself"] = file["a"]


@pytest.mark.parametrize(
    "how",
    [
        "fill values",
        "fill values of one piece",
        "packed",
        "a piece larger than the array",
        "one array under many names",
        "a group in itself",
    ],
)
def test_a_small_file_is_not_made_large(how: str, tmp_path: Path) -> None:
    hostile_h5(tmp_path / "net.h5", how)
    with pytest.raises(CheckpointError):
        read_keras(tmp_path / "net.h5")


def test_names_that_are_no_text_are_no_traceback(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file[b"conv1_\xff/kernel:0"] = np.zeros(4, np.float32)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_keras(tmp_path / "net.h5")
