"""A file's own list of classes is compared with the data set's order."""

import argparse
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.models.class_list import check_class_order, classes_in_checkpoint, classes_in_metadata

NAMES = ("cat", "dog", "bird")


@pytest.mark.parametrize(
    "content",
    [
        {"classes": ["cat", "dog", "bird"]},
        {"class_names": ("cat", "dog", "bird")},
        {"class_to_idx": {"bird": 2, "cat": 0, "dog": 1}},
        {"names": {2: "bird", 0: "cat", 1: "dog"}},
        {"id2label": {"0": "cat", "1": "dog", "2": "bird"}},
        {"meta": {"CLASSES": ("cat", "dog", "bird")}},
        {"meta": {"dataset_meta": {"classes": ("cat", "dog", "bird")}}},
        {"args": argparse.Namespace(lr=0.1, class_names=["cat", "dog", "bird"])},
        {"hyper_parameters": {"lr": 0.1, "class_names": ["cat", "dog", "bird"]}},
    ],
    ids=str,
)
def test_what_trainers_write_is_read(content: dict[object, object]) -> None:
    assert classes_in_checkpoint({"state_dict": {}, **content}) == NAMES


@pytest.mark.parametrize(
    "content",
    [
        {"classes": 3},
        {"classes": ["cat"]},
        {"names": ["cat", 1]},
        {"class_to_idx": {"cat": 0, "dog": 2}},
        {"labels": [0, 1, 2]},
        {"meta": "classes"},
        {"id2label": {"9" * 5000: "cat", "1": "dog"}},
        {"class_to_idx": {"cat": 0, "dog": 10**5000}},
        {},
    ],
    ids=lambda content: "".join(content) or "nothing",
)
def test_values_that_are_not_lists_of_classes_are_ignored(content: dict[object, object]) -> None:
    assert classes_in_checkpoint(content) is None


def test_a_dictionary_of_numbers_alone_goes_from_name_to_place() -> None:
    """torchvision's class_to_idx of folders that are called by numbers."""
    assert classes_in_checkpoint({"class_to_idx": {"0": 0, "1": 1, "10": 2, "2": 3}}) == ("0", "1", "10", "2")
    assert classes_in_checkpoint({"idx_to_class": {0: "0", 1: "1", 2: "10", 3: "2"}}) == ("0", "1", "10", "2")


@pytest.mark.parametrize(
    "text",
    [
        "{0: 'cat', 1: 'dog', 2: 'bird'}",
        '{"0": "cat", "1": "dog", "2": "bird"}',
        '["cat", "dog", "bird"]',
        "cat,dog,bird",
    ],
)
def test_metadata_of_onnx_files_is_read(text: str) -> None:
    assert classes_in_metadata({"author": "x", "names": text}) == NAMES
    assert classes_in_metadata({"author": text}) is None


def test_the_same_names_in_another_order_are_an_error_that_names_the_first() -> None:
    with pytest.raises(DataError, match=r"output 1 is 'dog' there and 'bird' here\. Do that\."):
        check_class_order(NAMES, ("cat", "bird", "dog"), Path("net.pth"), "Do that.", print)


def test_what_agrees_and_what_cannot_be_compared_is_said() -> None:
    said: list[str] = []
    check_class_order(NAMES, NAMES, Path("net.pth"), "", said.append)
    check_class_order(NAMES, ("n01", "n02", "dog"), Path("net.pth"), "", said.append)
    check_class_order(None, NAMES, Path("net.pth"), "", said.append)
    assert said == [
        "classes: the 3 of the data set, in the order that net.pth names",
        "classes: net.pth names others than the data set, so their order is not compared: cat, bird there,"
        " n01, n02 here",
    ]
