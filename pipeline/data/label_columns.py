"""Which columns of a labels.csv say where a picture is, and its split, class and class number."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from calibration.errors import did_you_mean
from pipeline.errors import DataError, UsageError, listed

PATH = (
    "path",
    "file",
    "filename",
    "filepath",
    "image",
    "imagepath",
    "imagename",
    "imagefile",
    "img",
    "imgpath",
    "imageid",
    "imgid",
    "id",
)
SPLIT = ("split", "set", "subset", "partition", "usage")
LABEL = ("label", "class", "classname", "category", "target", "labels", "classlabel")
HELD_OUT = {"istest": "test", "isvalid": "val", "isval": "val", "isvalidation": "val"}
"""Columns of true and false that say whether a picture is not to train with, as fastai has them."""
FOLDS = ("fold", "kfold", "foldid", "folds")
"""Columns that number the parts of a cross-validation."""
BOXES = {
    *("xmin", "ymin", "xmax", "ymax", "bbox", "box", "boundingbox", "bboxx", "bboxy", "bboxw", "bboxh"),
    *("bboxwidth", "bboxheight", "bboxxmin", "bboxymin", "bboxxmax", "bboxymax"),
    *("x1", "y1", "x2", "y2", "roix1", "roiy1", "roix2", "roiy2"),
}
"""Columns that say where in a picture something is."""
CLASS_NUMBER = (
    *("classid", "classidx", "classindex", "classnumber", "labelid", "labelidx", "labelindex", "labelnumber"),
    *("categoryid", "target", "targetid"),
)
"""Names of columns in small letters and without separators, in the order of preference."""


class Columns(NamedTuple):
    """The names of a table's columns.

    label is None where every class has a column of its own. held_out: columns of true and false, and the
    splits of those that are true. number is certain where it is called after the label, as `fine_id` beside
    `fine_name`; else it counts if it has one number for each class. boxes: columns that say where in a
    picture something is. unread: other columns that say nothing to edgec.
    """

    path: str
    split: str | None
    label: str | None
    number: str | None
    classes: tuple[str, ...] = ()
    held_out: tuple[tuple[str, str], ...] = ()
    certain: bool = True
    boxes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def _reduced(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def find(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column with the first of the names."""
    by_name = {_reduced(column): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def find_columns(columns: list[str], kind: str | None, where: str) -> Columns:
    """Return which columns to use. Raises DataError if one is missing, UsageError for an unknown kind."""
    path, split = find(columns, PATH), find(columns, SPLIT)
    if path is None:
        raise DataError(
            f"{where} has no column 'path'; it has {listed(columns) or 'no header'}. Write"
            " path,split,label into its first line."
        )
    kinds = {
        column.removesuffix("_name"): column
        for column in columns
        if column.endswith("_name") and column != path
    }
    label = find(columns, LABEL)
    if label is not None and (label == "label" or not kinds):
        kinds[label] = label
    held_out = () if split else _held_out(columns)
    used = (path, split, *(name for name, _ in held_out))
    boxes = tuple(column for column in columns if _reduced(column) in BOXES)
    folds = tuple(column for column in columns if _reduced(column) in FOLDS)
    known = {*used, *boxes, *folds}
    rest = tuple(column for column in columns if column not in known)
    if not kinds and len(rest) > 1:
        return Columns(path, split, None, None, rest, held_out, boxes=boxes, unread=folds)
    if not kinds:
        raise DataError(
            f"{where} has no column `label` or `<kind>_name`; it has {listed(columns)}. Name the column of"
            " classes label."
        )
    kind = next(iter(kinds)) if kind is None else kind
    if kind not in kinds:
        hint = did_you_mean(kind, list(kinds))
        raise UsageError(f"{where} has no labels of kind {kind!r}.{hint} Allowed: {', '.join(kinds)}.")
    by_kind = f"{kind}_id"
    certain = by_kind in columns
    number = by_kind if certain else find([c for c in columns if c != kinds[kind]], CLASS_NUMBER)
    of_labels = {*kinds.values(), number, *(f"{kind}_id" for kind in kinds)}
    unread = tuple(column for column in (*folds, *rest) if column and column not in of_labels)
    return Columns(path, split, kinds[kind], number, (), held_out, certain, boxes, unread)


def _held_out(columns: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found = ((find(columns, (name,)), split) for name, split in HELD_OUT.items())
    return tuple((column, split) for column, split in found if column is not None)
