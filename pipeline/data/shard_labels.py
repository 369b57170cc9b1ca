"""The classes of pictures in tar shards: numbers, names, or both, from x.cls and x.json."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.data.classes import read_classes
from pipeline.errors import DataError, listed
from pipeline.reading.json_text import bounded_json

NUMBERS = ("cls", "label", "class", "class_id", "label_id", "target")
NAMES = ("class_name", "label_name", "classname", "label", "class")
"""Keys of x.json that have the class: a number, a name, or one of each."""
MOST_CLASSES = 1 << 20
"""A higher label without a list of names is not the number of a class."""


class Label(NamedTuple):
    """A class by its number, by its name, or by both."""

    number: int | None
    name: str | None


def read_label(ending: str, content: bytes | None) -> Label | None:
    """Return the class that x.cls or x.json says; None if it says none."""
    try:
        text = (content or b"").decode("utf-8-sig").strip()
        if ending == "cls":
            return Label(int(text), None) if re.fullmatch(r"\d{1,9}", text) else None
        value: Any = bounded_json(text)
    except ValueError:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"cls": value}
    if not isinstance(value, dict):
        return None
    numbers = [v for key in NUMBERS if isinstance(v := value.get(key), int) and not isinstance(v, bool)]
    names = [v for key in NAMES if isinstance(v := value.get(key), str) and v]
    found = Label(numbers[0] if numbers else None, names[0] if names else None)
    return None if found == (None, None) or (found.number or 0) < 0 else found


def classes_of(
    labels: Collection[Label], location: str, beside: Path
) -> tuple[tuple[str, ...], Mapping[Label, int]]:
    """Return the names of the classes in order, and the place of each label.

    Numbers are the places; classes.txt in the folder `beside` names them, or else the labels do. Classes that
    are names alone have the order of classes.txt, or else of the alphabet. Raises DataError if names and
    numbers do not fit each other.
    """
    given = read_classes(beside)
    if all(one.number is None for one in labels):
        names = given or tuple(sorted({str(one.name) for one in labels}))
        place = {name: number for number, name in enumerate(names)}
        _refuse_unknown([str(one.name) for one in labels if one.name not in place], location)
        return names, {one: place[str(one.name)] for one in labels}
    numbers = {one: one.number for one in labels if one.number is not None}
    if len(numbers) < len(labels):
        raise DataError(f"{location}: some labels are numbers and some are names. Write one kind.")
    pairs = {(number, one.name) for one, number in numbers.items() if one.name}
    own = {number: str(name) for number, name in pairs}
    if not len(pairs) == len(own) == len(set(own.values())):
        raise DataError(f"{location}: a class number has two names, or a name two numbers. Give each one.")
    highest = max(numbers.values())
    if given is None and highest < MOST_CLASSES:
        given = tuple(own.get(number, str(number)) for number in range(highest + 1))
    if given is None or highest >= len(given):
        raise DataError(
            f"{location}: labels run to {highest:,}; there are {len(given or ())} names of classes. Name each"
            " class, from number 0 on, in classes.txt beside the shards."
        )
    _refuse_unknown([name for number, name in sorted(own.items()) if given[number] != name], location)
    return given, numbers


def _refuse_unknown(names: list[str], location: str) -> None:
    if names:
        raise DataError(
            f"{location}: classes.txt does not have these classes of the labels, or not at their numbers:"
            f" {listed(names)}. Correct it, or remove it."
        )
