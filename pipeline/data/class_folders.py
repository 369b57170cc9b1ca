"""Pictures in `<split>/<class>/`: which files are pictures, what classes are called, what is left out."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from pipeline.data.tree import Tree
from pipeline.errors import DataError, listed
from targets.runtime.preprocess import ImageError

SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".bmp", ".dib", ".webp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pxm", ".ras", ".sr", ".hdr", ".pic", ".exr"),
    *(".avif", ".heic", ".heif"),  # not decodable everywhere, but better named as damaged than left out
}
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
"""How pictures begin, for files whose name does not say what they are."""
LITTER = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini"}
"""What archives, file servers and desktops leave in folders."""


class ClassFile(NamedTuple):
    """One picture: its path, its split, and the class that its folder names."""

    path: str
    split: str
    label: str


def find_pictures(tree: Tree, splits: Sequence[str]) -> list[ClassFile]:
    """Read split and class off paths; what is deeper than the class's folder belongs to the class.

    Names of classes are compared in Unicode's form NFC: file systems differ in how they write an umlaut. What
    is left out is logged, counted by reason, and so is a class that one split lacks. Raises DataError if
    names of classes differ in nothing but case.
    """
    left_out: Counter[str] = Counter()
    found = list(_pictures(tree, splits, left_out))
    if left_out:
        told = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        _warn(f"Left out of {tree.location}: {told}")
    _refuse_case(tree, found)
    _warn_of_missing(tree, found)
    return found


def _pictures(tree: Tree, splits: Sequence[str], left_out: Counter[str]) -> Iterator[ClassFile]:
    for split in splits:
        for name in tree.below(split):
            path = PurePosixPath(name)
            if any(part.startswith(".") or part in LITTER for part in path.parts):
                left_out["hidden files and what systems leave behind"] += 1
            elif len(path.parts) == 2:
                left_out["files beside the classes' folders"] += 1
            elif path.suffix.lower() in SUFFIXES or _looks_like_one(tree, name):
                yield ClassFile(name, split, unicodedata.normalize("NFC", path.parts[1]))
            else:
                left_out[f"{path.suffix or 'nameless'} files that are no pictures"] += 1


def _looks_like_one(tree: Tree, name: str) -> bool:
    try:
        return tree.read(name).startswith(MAGIC)
    except ImageError:
        return False


def _refuse_case(tree: Tree, found: Sequence[ClassFile]) -> None:
    spelled: dict[str, str] = {}
    for label in sorted({one.label for one in found}):
        other = spelled.setdefault(label.casefold(), label)
        if other != label:
            places = [
                f"{name!r} in {listed(sorted({o.split for o in found if o.label == name}))}"
                for name in (other, label)
            ]
            raise DataError(
                f"{tree.location} has {places[0]} and {places[1]}: two classes, or one spelled in two ways?"
                " Give the folders of one class one name."
            )


def _warn_of_missing(tree: Tree, found: Sequence[ClassFile]) -> None:
    everywhere = {one.label for one in found}
    for split in sorted({one.split for one in found}):
        missing = sorted(everywhere - {one.label for one in found if one.split == split})
        if missing:
            _warn(f"{tree.location}: no pictures in {split} of {listed(missing)}")


def _warn(text: str) -> None:
    logging.getLogger("edgec.data").warning(text)
