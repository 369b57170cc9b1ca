"""The classes that a file of weights or a network names itself, compared with those of the data set."""

import argparse
import ast
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.data.imagenet_classes import usual_names
from pipeline.errors import DataError, listed
from pipeline.reading.json_text import MARKS, bounded_json, check_values
from pipeline.reading.reading_limits import LITERAL_CHARACTERS, LITERAL_VALUES

KEYS = (
    *("classes", "class_names", "classnames", "class_list", "CLASSES", "names", "labels", "label_names"),
    *("categories", "class_to_idx", "class_to_index", "idx_to_class", "id2label", "label2id", "label_map"),
)
"""Keys under which trainers store the classes, in the order of the outputs."""
INSIDE = ("meta", "config", "args", "hyper_parameters", "hparams", "opt", "extra", "dataset_meta", "dataset")
"""Dictionaries that may contain these keys. They may be nested."""
DEPTH = 3
MOST_DIGITS = 9
"""The most digits of a class number written as text. Python refuses to parse thousands of them."""


def classes_in_checkpoint(content: Mapping[object, object]) -> tuple[str, ...] | None:
    """Return the classes that a checkpoint names, in the order of its outputs; None if it has none."""
    return next(_listed_in(content, DEPTH), None)


def _listed_in(part: Mapping[object, object], depth: int) -> Iterator[tuple[str, ...]]:
    for key in KEYS:
        if (found := _names(part.get(key))) is not None:
            yield found
    for key in INSIDE if depth else ():
        value = part.get(key)
        inside = vars(value) if isinstance(value, argparse.Namespace) else value
        if isinstance(inside, Mapping):
            yield from _listed_in(inside, depth - 1)


def classes_in_metadata(entries: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the classes that an ONNX file's metadata names: a literal of Python or JSON, or with commas.

    Raises DataError for a list beyond the limits.
    """
    for key in KEYS:
        text = entries.get(key, "").strip()
        if len(text) > LITERAL_CHARACTERS:
            raise DataError(
                f"The metadata {key!r} of the network has {len(text):,} characters; at most"
                f" {LITERAL_CHARACTERS:,} are read. Leave it out of the network."
            )
        value: object = None
        for read in (bounded_json, _literal):
            try:
                value = read(text)
                break
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
        found = _names(value if value is not None else text.split(",") if "," in text else None)
        if found is not None:
            return found
    return None


def check_class_order(
    own: tuple[str, ...] | None,
    classes: tuple[str, ...],
    path: Path,
    way_out: str,
    say: Callable[[str], None],
) -> None:
    """Compare a file's own classes with the data set's `classes`, and report the result through `say`.

    Raises DataError, ending in `way_out`, if they are the same in another order. Names that differ cannot be
    compared: a warning shows both.
    """
    if own is None:
        return
    theirs, ours = (
        tuple(unicodedata.normalize("NFC", name.strip()) for name in names) for names in (own, classes)
    )
    if theirs != ours:  # ImageNet's may be called by WordNet ID in one of the two
        theirs, ours = usual_names(theirs), usual_names(ours)
    if theirs == ours:
        say(f"classes: the {len(ours)} of the data set, in the order that {path.name} names")
    elif sorted(theirs) == sorted(ours):
        place = next(k for k, (one, other) in enumerate(zip(theirs, ours, strict=True)) if one != other)
        raise DataError(
            f"{path} names its classes in another order than the data set: output {place} is"
            f" {theirs[place]!r} there and {ours[place]!r} here. {way_out}"
        )
    else:
        missing = [name for name in theirs if name not in ours]
        other = [name for name in ours if name not in theirs]
        say(
            f"classes: {path.name} names others than the data set, so their order is not compared:"
            f" {listed(missing) or 'none'} there, {listed(other) or 'none'} here"
        )


def _literal(text: str) -> object:
    check_values(text, LITERAL_VALUES, (*MARKS, "("))
    return ast.literal_eval(text)


def _names(value: object) -> tuple[str, ...] | None:
    """Return class names from a list of them, or from a dictionary of numbers by name or names by number."""
    if isinstance(value, Mapping):
        by_name = all(isinstance(place, int) for place in value.values())
        pairs = [(place, name) if by_name else (name, place) for name, place in value.items()]
        numbered = sorted((_number(number), str(name)) for number, name in pairs if isinstance(name, str))
        if [number for number, _ in numbered] != list(range(len(value))):
            return None
        value = [name for _, name in numbered]
    if (
        not isinstance(value, list | tuple)
        or len(value) < 2
        or not all(isinstance(one, str) for one in value)
    ):
        return None
    return tuple(str(one) for one in value)


def _number(value: object) -> int:
    """Return the number of a class, -1 for what cannot be one."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= MOST_DIGITS:
        return int(value)
    return value if isinstance(value, int) else -1
