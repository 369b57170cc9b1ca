"""Finds pictures in `<split>/<class>/` or in `<class>/`, their class names, and the files to leave out."""

import logging
import re
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
    *(
        ".avif",
        ".heic",
        ".heif",
    ),  # cannot be decoded everywhere; reporting them as damaged is better than ignoring them
}
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
"""First bytes of pictures, for files without a known suffix."""
LITTER = {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini"}
"""Files that archives, file servers and desktops leave in folders."""
TEST_SHARE = 0.3
"""Of the pictures in folders that are classes: with less, a few hundred decide no gate."""


class ClassFile(NamedTuple):
    """One picture: its path, its split, and the class that its folder names."""

    path: str
    split: str
    label: str


def find_pictures(tree: Tree, splits: Sequence[str]) -> list[ClassFile]:
    """Return the pictures with the split and class of their paths; subfolders of a class belong to it.

    Names of classes are compared in Unicode's form NFC, since file systems encode umlauts differently. Files
    that are left out are logged, counted by reason, and so are classes that a split lacks. Raises DataError
    if names of classes differ only in how one name may be spelled.
    """
    left_out: Counter[str] = Counter()
    has_splits = any(tree.below(split) for split in splits)
    found = list(_pictures(tree, splits, left_out) if has_splits else _divided(tree, left_out))
    if left_out:
        counts = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        _warn(f"Left out of {tree.location}: {counts}")
    _refuse_spellings(tree, found)
    _warn_of_missing(tree, found)
    _warn_of_empty(tree, splits, found)
    return found


def _pictures(tree: Tree, splits: Sequence[str], left_out: Counter[str]) -> Iterator[ClassFile]:
    for split in splits:
        for name in tree.below(split):
            path = PurePosixPath(name)
            if len(path.parts) == 2 and not _is_litter(path):
                left_out["files beside the classes' folders"] += 1
            elif _is_picture(tree, path, left_out):
                yield ClassFile(name, split, unicodedata.normalize("NFC", path.parts[1]))


def _divided(tree: Tree, left_out: Counter[str]) -> Iterator[ClassFile]:
    """Yield the pictures of folders that are classes, divided by the digests of their files.

    So a picture keeps its role when others are added, and copies of one file have the same.
    """
    classes = [name for name in tree.folders() if not _is_litter(PurePosixPath(name))]
    names = [name for one in classes for name in tree.below(one)]
    found = [name for name in names if _is_picture(tree, PurePosixPath(name), left_out)]
    if len({PurePosixPath(name).parts[0] for name in found}) < 2:
        left_out.clear()  # another kind of data set, or none
        return
    tests = {name for name in found if int(tree.digest(name)[:8], 16) < TEST_SHARE * 2**32}
    for name in found:
        label = unicodedata.normalize("NFC", PurePosixPath(name).parts[0])
        yield ClassFile(name, "test" if name in tests else "train", label)
    _warn(
        f"{tree.location} has no folders train and test: {len(found) - len(tests)} of its pictures are to"
        f" train with and {len(tests)} to test with, by the digests of their files"
    )


def _is_litter(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part in LITTER for part in path.parts)


def _is_picture(tree: Tree, path: PurePosixPath, left_out: Counter[str]) -> bool:
    """Whether a file is taken for a picture; what is left out is counted."""
    if _is_litter(path):
        left_out["hidden and system files"] += 1
        return False
    if path.suffix.lower() in SUFFIXES or _looks_like_one(tree, str(path)):
        return True
    left_out[f"{path.suffix or 'nameless'} files that are not pictures"] += 1
    return False


def _looks_like_one(tree: Tree, name: str) -> bool:
    try:
        return tree.read(name).startswith(MAGIC)
    except ImageError:
        return False


def _spelled_alike(name: str) -> str:
    """Return a form that is the same for names that differ in case, compatible letters or separators."""
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", unicodedata.normalize("NFKC", name).strip()).casefold()


def _refuse_spellings(tree: Tree, found: Sequence[ClassFile]) -> None:
    spelled: dict[str, str] = {}
    for label in sorted({one.label for one in found}):
        other = spelled.setdefault(_spelled_alike(label), label)
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


def _warn_of_empty(tree: Tree, splits: Sequence[str], found: Sequence[ClassFile]) -> None:
    """Name folders without pictures whose class no split has; torchvision's ImageFolder counts them."""
    classes = {one.label for one in found}
    for split in splits:
        named = (unicodedata.normalize("NFC", name) for name in tree.folders(split))
        empty = [n for n in named if n not in classes and not n.startswith(".") and n not in LITTER]
        if empty:
            _warn(f"{tree.location}: no pictures in {split} of {listed(empty)}, which makes no class of it")


def _warn(text: str) -> None:
    logging.getLogger("edgec.data").warning(text)
