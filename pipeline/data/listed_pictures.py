"""Finds the pictures that a labels.csv lists."""

import logging
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Literal

from pipeline.data.arrangement import is_litter, joined
from pipeline.data.class_folders import SUFFIXES
from pipeline.data.tree import Tree
from pipeline.errors import DataError, listed

FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
"""Unicode's forms in which file systems and programs write one name."""


def located(tree: Tree, top: str, paths: Sequence[str], where: str) -> list[str]:
    """Return the paths in the tree of pictures that a table in its folder `top` lists.

    where: the table, for messages. Raises DataError if there is no such picture.
    """
    found = [_path(tree, top, written) for written in paths]
    if not all(found):
        found = _by_name(tree, top, paths, found, where)
    missing = [written for written, path in zip(paths, found, strict=True) if not path]
    if missing:
        raise DataError(
            f"{where} names files that do not exist: {listed(missing)}. Write paths relative to the folder of"
            " that table."
        )
    return found


def _by_name(tree: Tree, top: str, paths: Sequence[str], found: Sequence[str], where: str) -> list[str]:
    """Return `found`; where a written name leads to no picture, with the only picture of that name.

    So numbers of pictures in a column `id` are understood, without the folder and the ending.
    """
    lengths = sorted({written.count("/") + 1 for written, path in zip(paths, found, strict=True) if not path})
    by_end: dict[str, list[str]] = {}
    for name in tree.below(top):
        picture = PurePosixPath(name)
        if picture.suffix.lower() in SUFFIXES and not is_litter(picture):
            for end in _ends(name, lengths) | _ends(str(picture.with_suffix("")), lengths):
                by_end.setdefault(end, []).append(name)
    made = [path or _only(by_end.get(written, ())) for written, path in zip(paths, found, strict=True)]
    if count := sum(map(bool, made)) - sum(map(bool, found)):
        logging.getLogger("edgec.data").warning(
            "%s: found %d pictures by their names, in other folders or with endings", where, count
        )
    return made


def _ends(name: str, lengths: Sequence[int]) -> set[str]:
    """Return the last parts of a path, so many of them."""
    parts = name.split("/")
    return {"/".join(parts[-length:]) for length in lengths if length <= len(parts)}


def _only(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _path(tree: Tree, top: str, written: str) -> str:
    """Return the path of a file in the tree; empty if there is none.

    It may be written with backslashes, below the tree's own place, or in another of Unicode's forms.
    """
    place = PurePosixPath(tree.location, top)
    for slashes in dict.fromkeys((written, written.replace("\\", "/"))):
        inside = PurePosixPath(slashes)
        path = str(inside.relative_to(place) if inside.is_relative_to(place) else inside)
        for spelled in dict.fromkeys((path, *(unicodedata.normalize(form, path) for form in FORMS))):
            if not PurePosixPath(spelled).is_absolute() and tree.holds(name := joined(top, spelled)):
                return name
    return ""
