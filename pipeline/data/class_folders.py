"""Finds pictures in `<split>/<class>/`, `<class>/<split>/` or `<class>/`, and tells what is left out."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from pipeline.data.arrangement import (
    SPELLINGS,
    Arrangement,
    is_litter,
    joined,
    named,
    split_of,
    visible_folders,
)
from pipeline.data.not_classes import refuse_masks, refuse_splits
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
MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
"""First bytes of pictures, for files without a known suffix. WebP begins as videos and sounds do."""
TEST_SHARE = 0.3
"""The share of pictures without folders of splits that are for testing. With a smaller one, a data set of a
few hundred pictures could decide no gate."""


class ClassFile(NamedTuple):
    """One picture: its path, its split, and the class that its folder names."""

    path: str
    split: str
    label: str


def find_pictures(tree: Tree, arrangement: Arrangement) -> list[ClassFile]:
    """Return the pictures with the split and class of their paths; subfolders of a class belong to it.

    They lie in <split>/<class>/, in <class>/<split>/, or in <class>/, where `divided` gives splits. Names
    of classes are compared in Unicode's form NFC, since file systems encode umlauts differently. Files that
    are left out are logged, counted by reason, and so are classes that a split lacks. Raises DataError if
    names of classes differ only in how one name may be spelled.
    """
    left_out: Counter[str] = Counter()
    for place in arrangement.splits.values():
        refuse_links(tree, [joined(place, name) for name in visible_folders(tree, place)])
    if any(tree.below(place) for place in arrangement.splits.values()):
        found = list(_in_splits(tree, arrangement.splits, left_out))
        labels = sorted({one.label for one in found})
        refuse_masks(tree, labels, lambda name: [one.path for one in found if one.label == name])
        _warn_of_folders_beside(tree, arrangement)
    else:
        found = _in_classes(tree, arrangement.top, left_out)
    if left_out:
        counts = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
        _warn(f"Left out of {tree.location}: {counts}")
    refuse_spellings(tree.location, found)
    _warn_of_missing(tree, found)
    _warn_of_groups(tree, arrangement, found)
    _warn_of_empty(tree, arrangement.splits, found)
    return found


def _in_splits(tree: Tree, splits: Mapping[str, str], left_out: Counter[str]) -> Iterator[ClassFile]:
    for split, place in sorted(splits.items()):
        for name in tree.below(place):
            path = PurePosixPath(name)
            inside = path.relative_to(place).parts
            if len(inside) == 1 and not is_litter(path):
                left_out["files beside the classes' folders"] += 1
            elif _is_picture(tree, path, left_out):
                yield ClassFile(name, split, unicodedata.normalize("NFC", inside[0]))


def _in_classes(tree: Tree, top: str, left_out: Counter[str]) -> list[ClassFile]:
    """Return the pictures of folders that are classes, which may have folders of splits."""
    places: dict[str, list[str]] = {}
    for name in visible_folders(tree, top):
        places.setdefault(unicodedata.normalize("NFC", name), []).append(joined(top, name))
    found = {
        label: [
            name
            for folder in folders
            for name in tree.below(folder)
            if _is_picture(tree, PurePosixPath(name), left_out)
        ]
        for label, folders in places.items()
    }
    found = {label: names for label, names in found.items() if names}
    if len(found) < 2:
        left_out.clear()  # another kind of data set, or none
        return []
    refuse_links(tree, [folder for label in found for folder in places[label]])
    refuse_masks(tree, list(found), found.__getitem__)
    depth = len(PurePosixPath(top).parts) + 1
    splits = {n: split_of(PurePosixPath(n).parts[depth]) for names in found.values() for n in names}
    if len({split for split in splits.values() if split}) > 1:
        left_out["pictures beside the splits of their class"] += sum(not s for s in splits.values())
        left_out += Counter()  # only the reasons that occur
        return [
            ClassFile(name, split, label)
            for label, names in found.items()
            for name in names
            if (split := splits[name])
        ]
    refuse_splits(tree, lambda name: visible_folders(tree, places[name][0]), list(found))
    pairs = [(name, label) for label, names in found.items() for name in names]
    return [
        ClassFile(name, split, label)
        for (name, label), split in zip(pairs, divided(tree, pairs), strict=True)
    ]


def divided(tree: Tree, pictures: Sequence[tuple[str, str]]) -> list[str]:
    """Return the split, train or test, of each picture and class, by the digests of their files.

    So a picture keeps its role when others are added, and copies of one file have the same.
    """
    tests = [int(tree.digest(name)[:8], 16) < TEST_SHARE * 2**32 for name, _ in pictures]
    _warn(
        f"{tree.location} has no folders train and test: {tests.count(False)} of its pictures are to"
        f" train with and {tests.count(True)} to test with, by the digests of their files"
    )
    return ["test" if test else "train" for test in tests]


def _is_picture(tree: Tree, path: PurePosixPath, left_out: Counter[str]) -> bool:
    """Whether a file is taken for a picture; what is left out is counted."""
    if is_litter(path):
        left_out["hidden and system files"] += 1
        return False
    if path.suffix.lower() in SUFFIXES or _looks_like_one(tree, str(path)):
        return True
    left_out[f"{path.suffix or 'nameless'} files that are not pictures"] += 1
    return False


def _looks_like_one(tree: Tree, name: str) -> bool:
    try:
        begin = tree.read(name)[:12]
    except ImageError:
        return False
    return begin.startswith(MAGIC) or (begin[:4] == b"RIFF" and begin[8:] == b"WEBP")


def _spelled_alike(name: str) -> str:
    """Return a form that is the same for names that differ in case, compatible letters or separators."""
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", unicodedata.normalize("NFKC", name).strip()).casefold()


def refuse_links(tree: Tree, classes: Sequence[str]) -> None:
    """Raise DataError if two folders of classes are one, as a link and where it leads."""
    first: dict[object, str] = {}
    for folder in classes:
        other = first.setdefault(tree.identity(folder), folder)
        if other != folder:
            raise DataError(
                f"{tree.location}: {other} and {folder} are one folder, by a link: its pictures would be of"
                " two classes. Remove the link."
            )


def refuse_spellings(location: str, found: Sequence[ClassFile]) -> None:
    """Raise DataError if two names of classes differ only in how one name may be spelled."""
    spelled: dict[str, str] = {}
    for label in sorted({one.label for one in found}):
        other = spelled.setdefault(_spelled_alike(label), label)
        if other != label:
            places = [
                f"{name!r} in {listed(sorted({o.split for o in found if o.label == name}))}"
                for name in (other, label)
            ]
            raise DataError(
                f"{location} has {places[0]} and {places[1]}: two classes, or one spelled in two ways?"
                " Give the folders of one class one name."
            )


def _warn_of_missing(tree: Tree, found: Sequence[ClassFile]) -> None:
    everywhere = {one.label for one in found}
    for split in sorted({one.split for one in found}):
        missing = sorted(everywhere - {one.label for one in found if one.split == split})
        if missing:
            _warn(f"{tree.location}: no pictures in {split} of {listed(missing)}")


def _warn_of_groups(tree: Tree, arrangement: Arrangement, found: Sequence[ClassFile]) -> None:
    """Warn of classes whose pictures all lie in subfolders: the user may mean the subfolders as classes."""
    tops = arrangement.splits or {"": arrangement.top}
    groups: dict[str, set[str]] = {}
    for one in found:
        place = tops.get(one.split, arrangement.top)
        depth = len(PurePosixPath(place).parts)
        inside = PurePosixPath(one.path).parts[depth + 1 : -1]
        groups.setdefault(one.label, set()).add(inside[0] if inside else "")
    grouped = {
        label: names
        for label, names in groups.items()
        if len(names) > 1 and "" not in names and not any(split_of(name) for name in names)
    }
    if grouped:
        label, names = next(iter(sorted(grouped.items())))
        _warn(
            f"{tree.location}: {len(grouped)} of {len(groups)} classes have all pictures in folders of"
            f" their own, such as {listed(sorted(names))} in {label}: the class is {label}, the outer one"
        )


def _warn_of_empty(tree: Tree, splits: Mapping[str, str], found: Sequence[ClassFile]) -> None:
    """Name folders without pictures whose class no split has; torchvision's ImageFolder counts them."""
    classes = {one.label for one in found}
    for split, place in sorted(splits.items()):
        names = (unicodedata.normalize("NFC", name) for name in visible_folders(tree, place))
        empty = [name for name in names if name not in classes]
        if empty:
            _warn(f"{tree.location}: no pictures in {split} of {listed(empty)}, which makes no class of it")


def _warn_of_folders_beside(tree: Tree, arrangement: Arrangement) -> None:
    holding = [name for name in arrangement.beside if tree.below(joined(arrangement.top, name))]
    if holding:
        splits = named(list(arrangement.splits.values()))
        _warn(
            f"{tree.location}: left out {named(holding)}, beside {splits}: only"
            f" folders of splits are read ({', '.join(SPELLINGS)})"
        )


def _warn(text: str) -> None:
    logging.getLogger("edgec.data").warning(text)
