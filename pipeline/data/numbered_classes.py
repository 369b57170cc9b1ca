"""The order of classes whose names are numbered: numeric or alphabetic. The user has to say which."""

import re
from typing import Literal

from pipeline.data.dataset import Dataset
from pipeline.data.relabel import relabelled
from pipeline.errors import UsageError

ClassOrder = Literal["numbers", "text"]
_NUMBERED = re.compile(r"(\D*)(\d+).*", re.DOTALL)
"""What stands before the first number, that number, and the rest, as in 2, class2, or 2_cat."""


def in_order(dataset: Dataset, order: ClassOrder | None) -> Dataset:
    """Return the data set with its classes in the given order.

    Raises UsageError if the classes are numbered, such as 0 to 11 or class0 to class11, the two orders
    differ, and `order` is None: networks trained with torchvision's ImageFolder have 0, 1, 10, 11, 2, most
    label files 0, 1, 2, ... 10.
    """
    as_text = tuple(sorted(dataset.classes))
    parts = [_NUMBERED.match(name) for name in as_text]
    numbers = {one[0]: int(one[2]) for one in parts if one}
    same_begin = len({one[1] for one in parts if one}) == 1
    if dataset.classes != as_text or len(numbers) < len(as_text) or not same_begin:
        return dataset
    as_numbers = tuple(sorted(as_text, key=lambda name: (numbers[name], name)))
    if as_numbers == as_text or order == "text":
        return dataset
    if order is None:
        raise UsageError(
            f"The classes of {dataset.location} are numbered, and as numbers their order is"
            f" {_begin(as_numbers)}, as text {_begin(as_text)}. Say which one the network was trained with:"
            ' class_order = "numbers", or class_order = "text" (torchvision\'s ImageFolder).'
        )
    return relabelled(dataset, as_numbers, dataset.location)


def _begin(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
