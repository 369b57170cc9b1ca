"""Training, calibration and evaluation share no picture, for any data set."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.dataset import CALIBRATION_IMAGES, CALIBRATION_SHARE, Dataset
from pipeline.data.images import Images, PixelImages
from pipeline.data.open import open_dataset
from pipeline.data.split import Role, Split
from pipeline.errors import DataError
from tests.pipeline.data.pictures import class_folders, png, random_pixels, write_folder

ROLES: tuple[Role, ...] = ("train", "calibration", "evaluation")


def contents(split: Split) -> set[str]:
    return {sample.digest for sample in split.samples}


def set_of(**splits: list[int]) -> Dataset:
    """Make a data set whose pictures are one pixel each, so that equal numbers are equal pictures."""

    def images(name: str, values: list[int]) -> Images:
        pixels = np.array(values, np.uint8).reshape(-1, 1, 1, 1)
        return PixelImages(name, pixels, np.arange(len(values), dtype=np.int64) % 3)

    stored = {
        name: (lambda name=name, values=values: images(name, values)) for name, values in splits.items()
    }
    return Dataset("made", ("a", "b", "c"), stored)


pictures = st.lists(st.integers(0, 99), min_size=4, max_size=60)


@given(pictures, st.sets(st.integers(100, 255), min_size=1, max_size=20))
def test_roles_are_disjoint_even_if_training_holds_duplicates(train: list[int], test: set[int]) -> None:
    dataset = set_of(train=train, test=sorted(test))
    calibration = dataset.split("calibration")
    assert 1 <= len(calibration) <= max(1, CALIBRATION_SHARE * len(train) + 1)
    if len(set(train)) <= len(contents(calibration)):
        return  # all copies of the drawn ones: nothing is left to train with
    found = [contents(dataset.split(role)) for role in ROLES]
    assert len(set().union(*found)) == sum(map(len, found))
    assert len(found[0] | found[1]) == len(set(train))


def test_calibration_takes_a_tenth_of_a_small_training_set_and_training_keeps_the_rest(
    tmp_path: Path,
) -> None:
    dataset = open_dataset(write_folder(tmp_path, class_folders(train=40, test=10)))
    assert [len(dataset.split(role)) for role in ROLES] == [36, 4, 10]
    assert sorted(np.bincount(dataset.split("calibration").labels)) == [2, 2]


def test_calibration_takes_no_more_of_a_large_training_set_than_it_needs() -> None:
    pixels = np.zeros((30_000, 1, 1, 1), np.uint8)
    images = PixelImages("train", pixels, np.zeros(30_000, np.int64))
    assert len(Dataset("made", ("a",), {"train": lambda: images}).split("calibration")) == CALIBRATION_IMAGES


SET_ASIDE = {"train/ash/000.png", "train/ash/004.png", "train/birch/003.png", "train/birch/037.png"}


def test_the_same_images_are_set_aside_whenever_the_data_set_is_opened(tmp_path: Path) -> None:
    """A model that was trained yesterday must not be calibrated with what it saw."""
    folder = write_folder(tmp_path, class_folders(train=40, test=10))
    assert {s.name for s in open_dataset(folder).split("train").samples}.isdisjoint(SET_ASIDE)
    assert {s.name for s in open_dataset(folder).split("calibration").samples} == SET_ASIDE


def test_a_stored_calibration_split_is_used_as_it_is(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path, class_folders(train=40, calibration=6, test=10)))
    assert [len(dataset.split(role)) for role in ROLES] == [40, 6, 10]
    assert all(sample.name.startswith("calibration/") for sample in dataset.split("calibration").samples)


def test_a_test_split_is_preferred_to_a_validation_split(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path, class_folders(train=40, val=4, test=10)))
    assert len(dataset.split("evaluation")) == 10
    only_val = open_dataset(write_folder(tmp_path / "imagenet", class_folders(train=40, val=4)))
    assert len(only_val.split("evaluation")) == 4


@pytest.mark.parametrize("role", ["calibration", "train"])
def test_images_that_are_evaluated_too_are_named(role: Role, tmp_path: Path) -> None:
    files = class_folders(train=20, calibration=10, test=10)
    stored = "train" if role == "train" else "calibration"
    for n in range(8):
        files[f"{stored}/ash/copy{n}.png"] = files[f"test/{('ash', 'birch')[n % 2]}/{n:03}.png"]
    dataset = open_dataset(write_folder(tmp_path, files))
    with pytest.raises(DataError) as error:
        dataset.split(role)
    assert f"8 {role} images are also evaluation images" in str(error.value)
    assert f"{stored}/ash/copy0.png = test/ash/000.png" in str(error.value)
    assert "and 3 more" in str(error.value)


def test_a_role_nothing_is_stored_for_says_what_there_is(tmp_path: Path) -> None:
    dataset = open_dataset(write_folder(tmp_path, class_folders(test=10)))
    assert not dataset.has("calibration")
    with pytest.raises(
        DataError, match=r"has no images for calibration: it has test. Add a split named train"
    ):
        dataset.split("calibration")


@pytest.mark.parametrize("role", ROLES)
def test_an_empty_set_is_refused(role: Role) -> None:
    stored = "test" if role == "evaluation" else role
    dataset = set_of(**{"train": [1, 2], "calibration": [3], "test": [4], stored: []})
    with pytest.raises(DataError, match=f"The {role} set of made is empty"):
        dataset.split(role)


def test_labels_without_a_class_are_refused() -> None:
    images = PixelImages("test", np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 7]))
    with pytest.raises(DataError, match="test labels run from 0 to 7; there are 3 classes"):
        Dataset("made", ("a", "b", "c"), {"test": lambda: images}).split("evaluation")


def test_only_what_a_role_needs_is_read() -> None:
    def unreadable() -> Images:
        raise AssertionError("the training images were opened")

    test = PixelImages("test", random_pixels(3), np.zeros(3, np.int64))
    assert len(Dataset("made", ("a",), {"train": unreadable, "test": lambda: test}).split("evaluation")) == 3


def test_a_change_of_one_picture_changes_only_its_own_role(tmp_path: Path) -> None:
    files = class_folders(train=40, calibration=6, test=10)
    before = open_dataset(write_folder(tmp_path, files))
    digests = {role: before.split(role).digest for role in ROLES}
    write_folder(tmp_path, {"calibration/ash/000.png": png(random_pixels(1, seed=77)[0])})
    after = open_dataset(tmp_path)
    assert [role for role in ROLES if after.split(role).digest != digests[role]] == ["calibration"]
