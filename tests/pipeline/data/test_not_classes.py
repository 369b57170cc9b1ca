"""Folders that look like classes and are something else are refused, and what people call classes is not."""

import logging
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cache.digest import file_digest
from pipeline.data.masks import open_for_segmentation
from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import jpeg, png, random_pixels, write_folder

PICTURE = jpeg(random_pixels(1)[0])
MASK = cv2.imencode(".png", np.arange(64, dtype=np.uint8).reshape(8, 8) % 3)[1].tobytes()
COLOURS = png(random_pixels(1)[0])


def beside(pictures: str, masks: str, mask: bytes = MASK, suffix: str = "png") -> dict[str, bytes]:
    files = {f"{pictures}/{n}.jpg": PICTURE for n in range(4)}
    return files | {f"{masks}/{n}.{suffix}": mask for n in range(4)}


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [
        ("test/images", "test/labels"),
        ("test/Images", "test/Masks"),
        ("test/img", "test/label"),
        ("images/val", "annotations/val"),
        ("img_dir/val", "ann_dir/val"),
        ("leftImg8bit/val/city", "gtFine/val/city"),
    ],
)
def test_masks_are_never_evaluated_as_pictures(pictures: str, masks: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", beside(pictures, masks))
    found = open_for_segmentation(folder, None, ("a", "b", "c"), file_digest).split("evaluation")
    assert [one.name.split("/")[-1] for one in found.samples] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    with pytest.raises(DataError, match="look like pictures and the labels of their pixels"):
        open_dataset(folder)


def test_masks_are_known_by_their_files_where_names_say_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'x' and 'y', which look like pictures and the labels"):
        open_dataset(write_folder(tmp_path / "masks", beside("test/x", "test/y")))
    for name, other in (
        ("colours", beside("test/x", "test/y", COLOURS)),
        ("jpegs", beside("test/x", "test/y", PICTURE, "jpg")),
        ("names", beside("test/x", "test/y") | {"test/y/of no picture.png": MASK}),
        ("gray", {f"test/{c}/{n}.png": MASK for c in "xy" for n in range(4)}),
    ):
        assert open_dataset(write_folder(tmp_path / name, other)).classes == ("x", "y")


@pytest.mark.parametrize("names", [("fold0", "fold1"), ("my_train", "my_test"), ("1", "2")])
def test_splits_of_other_names_are_no_classes(names: tuple[str, str], tmp_path: Path) -> None:
    files = {
        f"{name}/{label}/{n}.jpg": PICTURE for name in names for label in ("cat", "dog") for n in range(3)
    }
    with pytest.raises(DataError, match="looks like splits and not like classes"):
        open_dataset(write_folder(tmp_path / "data", files))


def test_classes_may_have_the_same_folders_inside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {f"{c}/{t}/{n}.jpg": PICTURE for c in ("cat", "dog") for t in ("day", "night") for n in range(3)}
    with caplog.at_level(logging.WARNING):
        found = open_dataset(write_folder(tmp_path / "data", files))
    assert found.classes == ("cat", "dog")
    assert "such as day, night in cat: the class is cat, the outer one" in caplog.text


def test_folders_of_one_name_in_both_of_unicodes_forms_are_one_class(tmp_path: Path) -> None:
    forms = [unicodedata.normalize(form, "\u00c4pfel") for form in ("NFC", "NFD")]
    files = {f"{name}/{number}.jpg": PICTURE for number, name in enumerate(forms)}
    found = open_dataset(write_folder(tmp_path / "data", files | {"Birnen/2.jpg": PICTURE}))
    assert sum(len(opened().labels) for opened in found.stored.values()) == 3
