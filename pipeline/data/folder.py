"""Pictures in folders of splits and classes, or anywhere with a labels.csv; in a folder or in a .zip."""

import logging
from collections import Counter
from functools import partial

import numpy as np

from pipeline.data.arrangement import file_called, find_arrangement
from pipeline.data.class_folders import find_pictures
from pipeline.data.dataset import Dataset
from pipeline.data.imagenet import find_imagenet
from pipeline.data.label_table import LABELS, Entry, other_tables, read_table
from pipeline.data.tree import Tree, TreeImages
from pipeline.errors import DataError, UsageError, listed


def open_tree(tree: Tree, labels: str | None) -> Dataset | None:
    """Open the pictures of `tree`; None if it has neither labels.csv nor pictures in folders.

    labels is the kind of label to use if labels.csv has several, such as `coarse`; None takes the first.
    Raises UsageError for a kind that does not exist, and DataError for a labels.csv that cannot be used.
    """
    arrangement = find_arrangement(tree, LABELS)
    table = file_called(tree, arrangement.top, LABELS)
    others = other_tables(tree, arrangement.top)
    if table is not None:
        entries = read_table(tree, table, labels)
    elif labels is not None:
        raise UsageError(
            f"{tree.location} has no {LABELS} to take {labels!r} labels from. Leave that option out."
        )
    elif (imagenet := find_imagenet(tree, arrangement)) is not None:
        entries, others = imagenet, []
    else:
        entries = [Entry(*one) for one in find_pictures(tree, arrangement)]
    if not entries and others:
        raise DataError(
            f"{tree.location} has no pictures in folders of classes, and {listed(others)} is not read under"
            f" that name. Rename it to {LABELS}; of several tables make one, with a column split."
        )
    if not entries:
        return None
    if others:
        used = table or "the folders' names"
        logging.getLogger("edgec.data").warning(
            "%s: %s is not read; classes are those of %s", tree.location, listed(others), used
        )
    classes = tuple(name for _, name in sorted({(entry.order, entry.label) for entry in entries}))
    if len(set(classes)) != len(classes):
        twice = Counter(classes).most_common(1)[0][0]
        raise DataError(
            f"{tree.location}: {LABELS} gives the class {twice!r} more than one number. Give it one."
        )
    splits = sorted({entry.split for entry in entries})
    stored = {
        name: partial(_images, tree, [e for e in entries if e.split == name], classes) for name in splits
    }
    return Dataset(tree.location, classes, stored)


def _images(tree: Tree, entries: list[Entry], classes: tuple[str, ...]) -> TreeImages:
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[entry.label] for entry in entries], np.int64)
    return TreeImages(tree, tuple(entry.path for entry in entries), labels)
