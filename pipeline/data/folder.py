"""Pictures in `<split>/<class>/`, or anywhere with a labels.csv; in a folder or in a .zip.

labels.csv has a header and the columns path, split, and one or more columns of labels: `label`, or
`<kind>_name`, beside which `<kind>_id` gives the order of the classes.
"""

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from calibration.errors import did_you_mean
from pipeline.data.class_folders import find_pictures
from pipeline.data.dataset import STORED_AS, Dataset
from pipeline.data.tree import Tree, TreeImages
from pipeline.errors import DataError, UsageError, listed
from pipeline.reading_limits import LABELS_COLUMNS, LABELS_LINE, LABELS_ROWS
from targets.runtime.preprocess import ImageError

LABELS = "labels.csv"
REST = "\0"
"""The key of surplus values in a line, which no header can contain."""
SPLIT_NAMES = {name for names in STORED_AS.values() for name in names}


class _Lines:
    """The lines of a text, as long as a row is no longer than rows are: one could fill the memory."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self.in_row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LABELS_LINE + 1)
        self.in_row += len(line)
        if self.in_row > LABELS_LINE:
            raise csv.Error(f"a row has more than {LABELS_LINE:,} characters")
        if not line:
            raise StopIteration
        return line


class Entry(NamedTuple):
    """One picture, from its path or a line of labels.csv; order is the number that is given for its class."""

    path: str
    split: str
    label: str
    order: int = 0


def open_tree(tree: Tree, labels: str | None) -> Dataset | None:
    """Open the pictures of `tree`; None if it has neither labels.csv nor pictures in folders of splits.

    labels is the kind of label to use if labels.csv has several, such as `coarse`; None takes the first.
    Raises UsageError for a kind that does not exist, and DataError for a labels.csv that cannot be used.
    """
    if tree.holds(LABELS):
        entries = _from_csv(tree, labels)
    elif labels is not None:
        raise UsageError(
            f"{tree.location} has no {LABELS} to take {labels!r} labels from. Leave that option out."
        )
    else:
        entries = _from_folders(tree)
    if not entries:
        return None
    classes = tuple(name for _, name in sorted({(entry.order, entry.label) for entry in entries}))
    if len(set(classes)) != len(classes):
        twice = Counter(classes).most_common(1)[0][0]
        raise DataError(f"{tree.location}: {LABELS} gives the class {twice!r} more than one number.")
    splits = sorted({entry.split for entry in entries})
    stored = {
        name: partial(_images, tree, [e for e in entries if e.split == name], classes) for name in splits
    }
    return Dataset(tree.location, classes, stored)


def _images(tree: Tree, entries: list[Entry], classes: tuple[str, ...]) -> TreeImages:
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[entry.label] for entry in entries], np.int64)
    return TreeImages(tree, tuple(entry.path for entry in entries), labels)


def _from_folders(tree: Tree) -> list[Entry]:
    return [Entry(*one) for one in find_pictures(tree, sorted(SPLIT_NAMES))]


def _from_csv(tree: Tree, kind: str | None) -> list[Entry]:
    where = f"{tree.location}: {LABELS}"
    try:
        text = io.TextIOWrapper(io.BytesIO(tree.read(LABELS)), "utf-8-sig", newline="")
        source = _Lines(text)
        lines = csv.DictReader(source, restkey=REST, strict=True)
        columns = list(lines.fieldnames or ())
        if len(columns) > LABELS_COLUMNS:
            raise DataError(f"{where} has {len(columns):,} columns; at most {LABELS_COLUMNS} are read.")
        name, number = _label_columns(columns, kind, where)
        entries = []
        for line in lines:
            source.in_row = 0
            if any(line.pop(REST, None) or ()):
                raise DataError(f"{where}, line {lines.line_num} has more values than columns. Quote commas.")
            entries.append(_entry(line, name, number, f"{where}, line {lines.line_num}"))
            if len(entries) > LABELS_ROWS:
                raise DataError(f"{where} has more than {LABELS_ROWS:,} rows.")
    except (UnicodeDecodeError, csv.Error, ImageError) as error:
        raise DataError(f"{where} is damaged: {error}.") from error
    missing = [entry.path for entry in entries if not tree.holds(entry.path)]
    if missing:
        raise DataError(f"{where} names files that do not exist: {listed(missing)}.")
    return entries


NUMBER = re.compile(r"\d{1,18}")


def _label_columns(columns: list[str], kind: str | None, where: str) -> tuple[str, str | None]:
    """Return the columns of the class's name and, if there is one, of its number."""
    for needed in ("path", "split"):
        if needed not in columns:
            raise DataError(f"{where} has no column {needed!r}; it has {', '.join(columns) or 'no header'}.")
    kinds = {column.removesuffix("_name"): column for column in columns if column.endswith("_name")}
    if "label" in columns:
        kinds["label"] = "label"
    if not kinds:
        raise DataError(f"{where} has no column `label` or `<kind>_name`; it has {', '.join(columns)}.")
    kind = next(iter(kinds)) if kind is None else kind
    if kind not in kinds:
        hint = did_you_mean(kind, list(kinds))
        raise UsageError(f"{where} has no labels of kind {kind!r}.{hint} Allowed: {', '.join(kinds)}.")
    return kinds[kind], f"{kind}_id" if f"{kind}_id" in columns else None


def _entry(line: dict[str, str | None], name: str, number: str | None, where: str) -> Entry:
    path, split, label, order = (line[c] if c else "0" for c in ("path", "split", name, number))
    if not path or not split or not label or not order or not NUMBER.fullmatch(order):
        raise DataError(f"{where} lacks a path, split or label, or its class number is not an integer.")
    if split not in SPLIT_NAMES:
        hint = did_you_mean(split, sorted(SPLIT_NAMES))
        raise DataError(f"{where}: unknown split {split!r}.{hint} Allowed: {', '.join(sorted(SPLIT_NAMES))}.")
    return Entry(path, sys.intern(split), sys.intern(label), int(order))
