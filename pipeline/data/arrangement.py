"""Where pictures lie: the folder around a data set, and its splits under the names that people give them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.data.tree import Tree
from pipeline.errors import DataError, listed

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training", "trn"),
    "calibration": ("calibration", "calib", "cal"),
    "evaluation": ("evaluation", "eval"),
    "test": ("test", "testing", "tst"),
    "val": ("val", "valid", "validation", "validate", "dev", "development"),
}
"""What people call splits, in small letters."""
SURPLUS = re.compile(r"(?<=.)(images|imgs|pictures|photos|dataset|data|set|split)$")
"""What they put behind these names, as in training_set or test-images."""
AROUND = {"images", "imgs", "data"}
"""Folders that may lie between a split and its classes."""
LITTER = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini"}
"""Files that archives, file servers and desktops leave in folders."""
DEPTH = 3
"""The most folders, one in the other, that may lie around a data set, as they do in archives."""


@dataclass(frozen=True)
class Arrangement:
    """The folder that the data set lies in, its folders of splits by split, and the folders beside them."""

    top: str
    splits: Mapping[str, str]
    beside: tuple[str, ...]


def split_of(name: str) -> str | None:
    """Return the split that a name stands for, in upper or lower case; None for another name."""
    reduced = SURPLUS.sub("", re.sub(r"[\W_]+", "", name.casefold()))
    return next((split for split, spellings in SPELLINGS.items() if reduced in spellings), None)


def is_litter(path: PurePosixPath) -> bool:
    """Whether a path has a part that is hidden, or that is left by a system."""
    return any(part.startswith(".") or part in LITTER for part in path.parts)


def visible_folders(tree: Tree, top: str) -> list[str]:
    """Return the names of the folders in `top` that are not litter, sorted."""
    return [name for name in tree.folders(top) if not is_litter(PurePosixPath(name))]


def file_called(tree: Tree, top: str, name: str) -> str | None:
    """Return the path of the file of that name in the folder `top`, or of the only one in another case."""
    if tree.holds(joined(top, name)):
        return joined(top, name)
    alike = [other for other in tree.files(top) if other.casefold() == name.casefold()]
    return joined(top, alike[0]) if len(alike) == 1 else None


def find_arrangement(tree: Tree, table: str) -> Arrangement:
    """Return the arrangement; folders around the data set, as archives have them, are entered.

    table: the name of the file that may list the pictures. Raises DataError if two folders stand for the same
    split.
    """
    top = _inside(tree, table)
    folders = visible_folders(tree, top)
    splits: dict[str, str] = {}
    for name in folders:
        split = split_of(name)
        if split is not None and split in splits:
            raise DataError(
                f"{tree.location} has {splits[split]!r} and {name!r}, which are names of one split. Put their"
                " pictures into one folder."
            )
        if split is not None:
            splits[split] = name
    places = {split: _of_classes(tree, joined(top, name)) for split, name in splits.items()}
    beside = tuple(name for name in folders if name not in splits.values())
    return Arrangement(top, places, beside)


def joined(top: str, name: str) -> str:
    """Return the path of `name` in the folder `top`, which may be empty."""
    return f"{top}/{name}" if top else name


def named(names: tuple[str, ...] | list[str]) -> str:
    """Return a few names in quotation marks."""
    return listed([repr(name) for name in names])


def _inside(tree: Tree, table: str) -> str:
    """Return the innermost of the folders that contain one folder only."""
    top = ""
    for _ in range(DEPTH):
        folders = visible_folders(tree, top)
        if len(folders) != 1 or split_of(folders[0]) or file_called(tree, top, table):
            break
        inner = joined(top, folders[0])
        if not visible_folders(tree, inner) and not file_called(tree, inner, table):
            break
        top = inner
    return top


def _of_classes(tree: Tree, split: str) -> str:
    """Return the folder in which a split's classes lie: the split's own, or the only one in it."""
    folders = visible_folders(tree, split)
    if len(folders) != 1:
        return split
    (name,) = folders
    again = split_of(name) == split_of(PurePosixPath(split).name)
    inner = f"{split}/{name}"
    return inner if (again or name.casefold() in AROUND) and visible_folders(tree, inner) else split
