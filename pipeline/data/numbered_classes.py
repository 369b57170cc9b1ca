"""The order of classes where names have two: numbers, or a list beside the pictures. A build asks."""

import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipeline.data.dataset import Dataset
from pipeline.data.imagenet_classes import find_class, imagenet_classes, usual_names
from pipeline.data.relabel import relabelled
from pipeline.errors import UsageError, listed
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import NAMES_BYTES

ClassOrder = Literal["numbers", "text", "list", "imagenet"]
LISTS = ("classes.txt", "class_names.txt", "labels.txt", "names.txt")
"""Files beside the pictures that may name the classes, one a line."""
_NUMBERED = re.compile(r"(\D*)(\d{1,18})(?!\d).*", re.DOTALL)
"""What stands before the first number, that number, and the rest, as in 2, class2, or 2_cat."""


def in_order(dataset: Dataset, order: ClassOrder | None) -> Dataset:
    """Return the data set with its classes in the given order.

    Raises UsageError if most classes are numbered, such as 0 to 11 or class0 to class11, the two orders
    differ, and `order` is None: networks trained with torchvision's ImageFolder have 0, 1, 10, 11, 2, most
    label files 0, 1, 2, ... 10. The same if a list beside the pictures has them in another order; and for
    the order "list" without one.
    """
    if order == "imagenet":
        return _as_imagenet(dataset)
    as_text = tuple(sorted(dataset.classes))
    beside = _listed(dataset)
    if order == "list":
        if beside is None:
            raise UsageError(
                f'class_order is "list", but {dataset.location} has no file {" or ".join(LISTS)} that names'
                " its classes, one a line. Add one with the names of all folders."
            )
        return dataset if beside[1] == dataset.classes else relabelled(dataset, beside[1], dataset.location)
    if dataset.classes != as_text or order == "text":
        return dataset
    if order is None and len(dataset.classes) == len(imagenet_classes()) and _all_of_imagenet(dataset):
        raise UsageError(
            f"The classes of {dataset.location} are ImageNet's, sorted by name: {_begin(as_text)}. Say which"
            ' order the network was trained with: class_order = "imagenet" (by WordNet ID, as torchvision,'
            ' timm and Keras have them), or class_order = "text".'
        )
    as_numbers = _by_numbers(as_text)
    if order is None and beside is not None and beside[1] != as_text:
        raise UsageError(
            f"{beside[0]} names the classes in the order {_begin(beside[1])}, sorted by name they are"
            f" {_begin(as_text)}. Say which order the network was trained with:"
            ' class_order = "list", or class_order = "text" (torchvision\'s ImageFolder).'
        )
    if as_numbers == as_text:
        return dataset
    if order is None and beside is None:
        raise UsageError(
            f"The classes of {dataset.location} are numbered, and as numbers their order is"
            f" {_begin(as_numbers)}, as text {_begin(as_text)}. Say which one the network was trained with:"
            ' class_order = "numbers", or class_order = "text" (torchvision\'s ImageFolder).'
        )
    return dataset if order is None else relabelled(dataset, as_numbers, dataset.location)


def _all_of_imagenet(dataset: Dataset) -> bool:
    return all(find_class(name) is not None for name in dataset.classes)


def _as_imagenet(dataset: Dataset) -> Dataset:
    """Return the data set with ImageNet's 1,000 classes, by WordNet ID; numbers are places among outputs.

    Raises UsageError for other classes.
    """
    numbered = all(re.fullmatch(r"\d{1,3}", name) for name in dataset.classes)
    if numbered and len({int(name) for name in dataset.classes}) == len(dataset.classes):
        usual = {str(one.place): one.name for one in imagenet_classes()}
        dataset = replace(dataset, classes=tuple(usual[str(int(name))] for name in dataset.classes))
    known = {name: find_class(name) for name in dataset.classes}
    others = [name for name, found in known.items() if found is None]
    if others:
        raise UsageError(
            f'class_order is "imagenet", but {dataset.location} has classes that ImageNet does not name:'
            f" {listed(others)}. Use WordNet IDs such as n01440764, or leave class_order out."
        )
    return relabelled(dataset, [one.name for one in imagenet_classes()], "ImageNet")


def _by_numbers(as_text: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of which most are numbered in the order of numbers; others, such as `background`, last."""
    parts = [_NUMBERED.match(name) for name in as_text]
    numbers = {one[0]: int(one[2]) for one in parts if one}
    same_begin = len({one[1] for one in parts if one}) == 1
    if 4 * len(numbers) < 3 * len(as_text) or not same_begin:
        return as_text
    others = [name for name in as_text if name not in numbers]
    return (*sorted(numbers, key=lambda name: (numbers[name], name)), *others)


def _listed(dataset: Dataset) -> tuple[Path, tuple[str, ...]] | None:
    """Return the file beside the pictures that names exactly their classes, and its order."""
    for path in (Path(dataset.location) / name for name in LISTS):
        try:
            text = read_plain(path, NAMES_BYTES).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        lines = (unicodedata.normalize("NFC", line.strip()) for line in text.splitlines())
        names = tuple(line for line in lines if line)
        for called in (names, usual_names(names)):  # the list may call ImageNet's by WordNet ID
            if sorted(called) == sorted(dataset.classes):
                return path, called
    return None


def _begin(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
