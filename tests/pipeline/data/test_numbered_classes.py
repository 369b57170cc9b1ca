"""Classes whose names are numbers have two orders, and a build asks which one is meant."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.data.dataset import Dataset
from pipeline.data.numbered_classes import in_order
from pipeline.data.open import open_dataset
from pipeline.errors import UsageError
from pipeline.progress import Silent
from tests.pipeline.data.pictures import png, random_pixels, write_folder

NUMBERS = [str(number) for number in range(12)]


NAMED = [f"class{number}" for number in range(12)], [f"{number}_thing" for number in range(12)]


def folder(tmp_path: Path, names: list[str]) -> Path:
    files = {
        f"{split}/{name}/{split}.png": png(picture)
        for split, offset in (("train", 0), ("test", 100))
        for name, picture in zip(names, random_pixels(len(names) + offset)[offset:], strict=True)
    }
    return write_folder(tmp_path / "data", files)


def names_in_order(dataset: Dataset) -> list[str]:
    """Return the names of the classes of the pictures, sorted by the label that they got."""
    split = dataset.split("evaluation")
    order = np.argsort(split.labels)
    return [split.samples[i].name.split("/")[1] for i in order]


@pytest.mark.parametrize("order", ["numbers", "text"])
def test_labels_follow_the_order_that_is_said(order: str, tmp_path: Path) -> None:
    dataset = in_order(open_dataset(folder(tmp_path, NUMBERS)), "numbers" if order == "numbers" else "text")
    expected = NUMBERS if order == "numbers" else sorted(NUMBERS)
    assert list(dataset.classes) == expected
    assert names_in_order(dataset) == expected


def test_a_build_asks_and_the_answers_in_its_question_work(tmp_path: Path) -> None:
    data = folder(tmp_path, NUMBERS)
    options: dict[str, object] = {"model": "resnet18", "data": data, "out": tmp_path / "out"}
    options["checkpoint"] = tmp_path / "none.pth"
    (tmp_path / "none.pth").touch()
    with pytest.raises(UsageError, match=r"0, 1, 2, 3, \.\.\., as text 0, 1, 10, 11.*class_order = "):
        Build(load_config(BuildConfig, None, options), Silent())
    for order in ("numbers", "text"):
        built = Build(load_config(BuildConfig, None, {**options, "class_order": order}), Silent())
        assert list(built.dataset.classes) == (NUMBERS if order == "numbers" else sorted(NUMBERS))


def test_nothing_is_asked_where_both_orders_are_one(tmp_path: Path) -> None:
    for number, names in enumerate((NUMBERS[:10], ["cat", "10", "2"], ["007", "010"])):
        dataset = open_dataset(folder(tmp_path / str(number), names))
        assert in_order(dataset, None) is dataset


@pytest.mark.parametrize("names", NAMED)
def test_numbers_beside_the_same_words_have_two_orders_too(names: list[str], tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, names))
    with pytest.raises(UsageError, match=r'class_order = "numbers", or class_order = "text"'):
        in_order(dataset, None)
    assert list(in_order(dataset, "numbers").classes) == names


def test_numbers_beside_other_words_are_names(tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, ["airbus 320", "boeing 1011", "boeing 737"]))
    assert in_order(dataset, None) is dataset


def test_most_names_being_numbers_is_enough_to_ask(tmp_path: Path) -> None:
    dataset = open_dataset(folder(tmp_path, [*NUMBERS, "background"]))
    with pytest.raises(UsageError, match="as numbers their order is 0, 1, 2, 3"):
        in_order(dataset, None)
    assert list(in_order(dataset, "numbers").classes) == [*NUMBERS, "background"]


def test_a_list_beside_the_pictures_is_asked_about_and_can_be_followed(tmp_path: Path) -> None:
    data = folder(tmp_path, ["ash", "birch", "cedar"])
    (data / "classes.txt").write_text("\ufeffcedar\r\nash\r\nbirch\r\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"the order cedar, ash, birch, sorted by name they are ash, birch"):
        in_order(open_dataset(data), None)
    assert in_order(open_dataset(data), "text").classes == ("ash", "birch", "cedar")
    listed = in_order(open_dataset(data), "list")
    assert listed.classes == ("cedar", "ash", "birch")
    assert names_in_order(listed) == ["cedar", "ash", "birch"]


def test_a_list_of_other_names_asks_nothing_and_cannot_be_followed(tmp_path: Path) -> None:
    data = folder(tmp_path, ["ash", "birch"])
    (data / "labels.txt").write_text("oak\nash\n")
    dataset = open_dataset(data)
    assert in_order(dataset, None) is dataset
    with pytest.raises(UsageError, match=r"has no file classes\.txt or .* that names its classes"):
        in_order(dataset, "list")
