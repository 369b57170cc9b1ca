"""Folders as users have them: pictures are recognised by content, and every file left out is reported."""

import logging
import re
import unicodedata
import zipfile
from pathlib import Path

import cv2
import pytest

from pipeline.data.dataset import Dataset
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import png, random_pixels, write_folder

PNG = png(random_pixels(1)[0])


def pictures(*names: str, folder: Path) -> Dataset:
    return open_dataset(write_folder(folder / "data", dict.fromkeys(names, PNG)))


def evaluated(dataset: Dataset) -> int:
    return len(dataset.split("evaluation"))


def test_system_files_of_archives_servers_and_desktops_are_not_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    litter = ["@eaDir/cat/thumb.jpg", "__MACOSX/cat/x.jpg", ".ipynb_checkpoints/a.jpg", "dog/.hidden.png"]
    with caplog.at_level(logging.WARNING):
        found = pictures(
            *("train/cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/dog/1.png"),
            *(f"test/{name}" for name in litter),
            folder=tmp_path,
        )
    assert found.classes == ("cat", "dog")
    assert evaluated(found) == 2
    assert "4 hidden and system files" in caplog.text


@pytest.mark.parametrize("suffix", [".ppm", ".bmp", ".tif", ".JPG", ".jpg.bak", ""])
def test_every_picture_that_opencv_reads_counts_whatever_its_name(suffix: str, tmp_path: Path) -> None:
    kind = suffix if suffix in (".ppm", ".bmp", ".tif") else ".jpg"
    coded = cv2.imencode(kind, random_pixels(1)[0])[1].tobytes()
    names = [f"{split}/{name}/1{suffix}" for split in ("train", "test") for name in "ab"]
    found = open_dataset(write_folder(tmp_path / "data", dict.fromkeys(names, coded)))
    assert found.classes == ("a", "b")
    assert evaluated(found) == 2
    assert found.split("evaluation").images.decode(0, 3).shape[2] == 3


def test_files_that_are_not_pictures_are_counted_by_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"train/a/1.png": PNG, "test/a/1.png": PNG, "test/a/notes.txt": b"hello", "test/list.csv": b"a,b"}
    with caplog.at_level(logging.WARNING):
        open_dataset(write_folder(tmp_path / "data", files))
    assert "1 .txt files that are not pictures" in caplog.text
    assert "1 files beside the classes' folders" in caplog.text


def test_classes_are_the_same_in_both_of_unicodes_forms(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Äpfel") for form in ("NFC", "NFD"))
    assert composed != decomposed
    found = pictures(f"train/{composed}/1.png", f"test/{decomposed}/1.png", folder=tmp_path)
    assert found.classes == (composed,)


@pytest.mark.parametrize(
    ("one", "other"), [("Cat", "cat"), ("big-cat", "big_cat"), ("cat", "cat "), ("\ufb01sh", "fish")]
)
def test_classes_that_may_be_one_spelled_in_two_ways_are_named(one: str, other: str, tmp_path: Path) -> None:
    where = {one: "train", other: "test"}
    first, second = sorted(where)
    told = f"{first!r} in {where[first]} and {second!r} in {where[second]}: two classes, or one spelled"
    with pytest.raises(DataError, match=re.escape(told)):
        pictures(f"train/{one}/1.png", f"test/{other}/1.png", "test/dog/1.png", folder=tmp_path)


def test_marks_at_the_end_tell_classes_apart(tmp_path: Path) -> None:
    names = [f"{split}/{name}/1.png" for split in ("train", "test") for name in ("A", "A+", "A-")]
    assert pictures(*names, folder=tmp_path).classes == ("A", "A+", "A-")


def test_a_class_that_a_split_lacks_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pictures("train/cat/1.png", "train/dog/1.png", "test/cat/1.png", folder=tmp_path)
    assert "no pictures in test of dog" in caplog.text


@pytest.mark.parametrize("packed", [False, True])
def test_folders_without_pictures_are_named(
    packed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{split}/{name}/1.png" for split in ("train", "test") for name in "ab"]
    folder = write_folder(tmp_path / "data", dict.fromkeys(names, PNG))
    for name in ("test/empty", "train/empty", "train/.git", "train/@eaDir"):
        (folder / name).mkdir()
    place = folder
    if packed:
        place = tmp_path / "data.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    with caplog.at_level(logging.WARNING):
        assert open_dataset(place).classes == ("a", "b")
    assert "no pictures in test of empty, which makes no class of it" in caplog.text
    assert "no pictures in train of empty" in caplog.text
    assert ".git" not in caplog.text
