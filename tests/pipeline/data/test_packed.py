"""Packs of JPEGs in .npz files, and packs whose headers lie."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import jpeg, random_pixels, write_pack

GOOD: dict[str, ArrayLike] = {
    "data": np.arange(10, dtype=np.uint8),
    "offsets": np.array([0, 4, 10]),
    "labels": np.array([0, 1], np.uint8),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "classes.txt").write_text("ash\nbirch\n")
    return tmp_path


def refused(folder: Path, told: str) -> None:
    with pytest.raises(DataError, match=told):
        open_dataset(folder).split("evaluation")


def test_packs_are_splits(folder: Path) -> None:
    for name, count in (("train", 30), ("test", 6)):
        files = [jpeg(picture) for picture in random_pixels(count, seed=count)]
        write_pack(folder / f"{name}_jpeg.npz", files, [n % 2 for n in range(count)])
    dataset = open_dataset(folder)
    assert dataset.classes == ("ash", "birch")
    assert len(dataset.split("evaluation")) == 6
    assert len(dataset.split("train")) == 27


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"data": np.zeros(10, np.float32)}, "data float32"),
        ({"labels": np.zeros(2)}, "labels float64"),
        ({"offsets": np.array([0, 10])}, "2 offsets for 2 labels"),
        ({"offsets": np.array([0, 4, 11])}, "do not rise from 0 to 10"),
        ({"offsets": np.array([-1, 4, 10])}, "do not rise"),
        ({"offsets": np.array([0, 7, 4])}, "do not rise"),
        ({"labels": np.array([0, 9], np.uint8)}, "labels run from 0 to 9; there are 2 classes"),
        ({"data": np.zeros((2, 5), np.uint8)}, r"is declared as uint8 \[2, 5\]"),
        ({"data": np.array([print, open])}, "is declared as object"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    changed: dict[str, ArrayLike], told: str, folder: Path
) -> None:
    with zipfile.ZipFile(folder / "test_jpeg.npz", "w") as archive:
        for name, value in (GOOD | changed).items():
            buffer = io.BytesIO()
            array = np.asarray(value)
            if array.dtype.hasobject:  # a pickle of it is what an attacker would send
                np.lib.format.write_array_header_1_0(
                    buffer, {"descr": "|O", "fortran_order": False, "shape": array.shape}
                )
            else:
                np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    refused(folder, told)


def test_a_missing_array_is_named(folder: Path) -> None:
    np.savez(folder / "test_jpeg.npz", data=np.zeros(3, np.uint8))
    refused(folder, r"has no array offsets; it holds data\.npy")


@pytest.mark.parametrize("shape", [(2**40,), (-5,), (3,)])
def test_a_false_size_is_refused_before_memory_is_taken(shape: tuple[int, ...], folder: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(folder / "test_jpeg.npz", "w") as archive:
        archive.writestr("data.npy", buffer.getvalue() + bytes(10))
    refused(folder, r"is declared as uint8 .* and has 10 bytes")


def test_bytes_that_are_not_an_array_or_archive_are_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / "test_jpeg.npz", "w") as archive:
        archive.writestr("data.npy", b"not an array")
    refused(folder, "data is not an npy array")
    (folder / "test_jpeg.npz").write_bytes(b"not a zip")
    refused(folder, r"test_jpeg\.npz is damaged")


def test_class_names_are_needed(folder: Path) -> None:
    np.savez(folder / "test_jpeg.npz", data=np.zeros(3, np.uint8))
    (folder / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"no classes\.txt"):
        open_dataset(folder)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_scrambled_packs_are_read_or_refused_but_never_crash(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scrambled")
    (folder / "classes.txt").write_text("ash\nbirch\n")
    np.savez(folder / "test_jpeg.npz", **GOOD)  # type: ignore[arg-type]
    content = bytearray((folder / "test_jpeg.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "test_jpeg.npz").write_bytes(content)
    with suppress(DataError):
        assert len(open_dataset(folder).split("evaluation")) == 2
