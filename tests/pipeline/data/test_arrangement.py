"""Splits and classes are found however people arrange and name their folders, or a fault is named."""

import logging
import zipfile
from pathlib import Path

import pytest

from pipeline.data.arrangement import split_of
from pipeline.data.dataset import Dataset
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import png, random_pixels, write_folder

PICTURES = [png(one) for one in random_pixels(12)]


def opened(names: list[str], folder: Path, *, packed: bool = False) -> Dataset:
    """The data set of different pictures under these names."""
    files = dict(zip(names, PICTURES, strict=False))
    if not packed:
        return open_dataset(write_folder(folder / "data", files))
    with zipfile.ZipFile(folder / "data.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return open_dataset(folder / "data.zip")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("Training", "train"), ("TRAIN", "train"), ("training_set", "train"), ("train-images", "train")),
        *(("Validation", "val"), ("VAL", "val"), ("valid", "val"), ("dev", "val"), ("testing", "test")),
        *(("Test_Set", "test"), ("Calib", "calibration"), ("eval", "evaluation"), ("test data", "test")),
        *(("trains", None), ("contest", None), ("set", None), ("images", None), ("value", None)),
    ],
)
def test_splits_are_known_by_the_names_that_people_give_them(name: str, split: str | None) -> None:
    assert split_of(name) == split


ARRANGED = {
    "other names": ["Training/{c}/{n}", "Validation/{c}/{n}"],
    "capitals": ["TRAIN/{c}/{n}", "TEST/{c}/{n}"],
    "a folder around": ["photos/train/{c}/{n}", "photos/test/{c}/{n}"],
    "two folders around": ["a/b/train/{c}/{n}", "a/b/test/{c}/{n}"],
    "repeated names": ["training_set/training_set/{c}/{n}", "test_set/test_set/{c}/{n}"],
    "images between": ["train/images/{c}/{n}", "test/images/{c}/{n}"],
    "splits in classes": ["{c}/train/{n}", "{c}/Test/{n}"],
    "splits in classes, and a folder around": ["photos/{c}/train/{n}", "photos/{c}/valid/{n}"],
    "folders in classes": ["train/{c}/more/{n}", "test/{c}/deep/er/{n}"],
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("arrangement", ARRANGED)
def test_every_arrangement_has_the_same_pictures_in_each_role(
    arrangement: str, packed: bool, tmp_path: Path
) -> None:
    numbered = {"train": range(4), "test": range(4, 6)}
    names = [
        pattern.format(c=label, n=f"{n}.png")
        for pattern, numbers in zip(ARRANGED[arrangement], numbered.values(), strict=True)
        for label in ("cat", "dog")
        for n in numbers
    ]
    found = opened(names, tmp_path, packed=packed)
    assert found.classes == ("cat", "dog")
    evaluation = found.split("evaluation")
    assert evaluation.labels.tolist() == [0, 0, 1, 1]
    assert {sample.name for sample in evaluation.samples} == set(names[8:])
    assert len(found.split("train")) + len(found.split("calibration")) == 8


def test_backslashes_in_an_archive_part_folders(tmp_path: Path) -> None:
    names = [f"photos\\{split}\\{label}\\1.png" for split in ("train", "test") for label in ("cat", "dog")]
    assert opened(names, tmp_path, packed=True).classes == ("cat", "dog")


def test_folders_beside_the_splits_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        opened(["train/cat/1.png", "test/cat/2.png", "unsorted/3.png"], tmp_path)
    assert "left out 'unsorted', beside 'test', 'train'" in caplog.text.replace(str(tmp_path), "")


def test_a_class_that_begins_like_a_split_is_a_class(tmp_path: Path) -> None:
    names = [f"{label}/{n}.png" for label in ("trainer", "testament") for n in range(6)]
    assert opened(names, tmp_path).classes == ("testament", "trainer")


def test_links_to_nothing_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path, {"train/a/1.png": PICTURES[0], "test/a/2.png": PICTURES[1]})
    (folder / "test" / "a" / "gone.png").symlink_to(tmp_path / "nowhere")
    with caplog.at_level(logging.WARNING):
        assert len(open_dataset(folder).split("evaluation")) == 1
    assert caplog.text.count("Left out links to files that are not there: test/a/gone.png") == 1


def test_sounds_are_no_pictures_although_they_begin_like_webp(tmp_path: Path) -> None:
    files = {"train/a/1.png": PICTURES[0], "test/a/2.png": PICTURES[1]}
    files["test/a/bark.wav"] = b"RIFF\x24\0\0\0WAVEfmt "
    assert len(open_dataset(write_folder(tmp_path, files)).split("evaluation")) == 1


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["val/a/1.png", "VAL/a/2.png"], "names of one split"),
        (["train/a/1.png", "training/a/2.png"], "names of one split"),
        (["images/1.png", "images/2.png", "masks/1.png"], "not like two classes"),
        (["1.png", "2.png"], "Put the pictures of each class into a folder named like it"),
    ],
)
def test_a_layout_of_two_meanings_is_refused(names: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        opened(names, tmp_path)


@pytest.mark.parametrize("begin", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b\x08"])
def test_other_archives_are_to_be_unpacked(begin: bytes, tmp_path: Path) -> None:
    (tmp_path / "photos.zap").write_bytes(begin + bytes(100))
    with pytest.raises(DataError, match="Unpack it and give the folder"):
        open_dataset(tmp_path / "photos.zap")
