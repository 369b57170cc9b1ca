"""ImageNet as it is distributed: train/<WordNet ID>/, and val/ with such folders or flat, labelled by a list.

Kaggle's archive has them in ILSVRC/Data/CLS-LOC, with LOC_val_solution.csv at its top. The development kit
has ILSVRC2012_validation_ground_truth.txt, whose numbers are not the order of any network's outputs.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.data.arrangement import Arrangement, is_litter, joined, split_of, visible_folders
from pipeline.data.class_folders import find_pictures
from pipeline.data.imagenet_classes import ImageNetClass, by_kit_number, by_wnid, imagenet_classes
from pipeline.data.label_table import Entry
from pipeline.data.tree import Tree
from pipeline.errors import DataError, listed
from targets.runtime.preprocess import ImageError

KAGGLE = ("Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
"""Where Kaggle's archive has train, val and test."""
SOLUTION = "LOC_val_solution.csv"
TRUTHS = ("ILSVRC2012_validation_ground_truth.txt", "ILSVRC2015_clsloc_validation_ground_truth.txt")
KITS = ("", "data", "ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "devkit/data", "devkit")
"""Folders in which the development kit's list may lie."""
PICTURES = 50_000
"""Lines of the development kit's list, whatever part of the pictures is there."""
OFFICIAL = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
FIRST = (490, 361, 171, 822, 297, 482, 13, 704, 599, 164, 649, 11, 73, 286, 554, 6, 648, 399, 749, 545)
"""The development kit's first lines. A list with others numbers the classes in another order."""


def find_imagenet(tree: Tree, arrangement: Arrangement) -> list[Entry] | None:
    """Return ImageNet's pictures with their usual class names, in the order of networks' outputs.

    None if a folder of a split is called otherwise than by a WordNet ID of its 1,000 classes and the split is
    not `val` with its pictures side by side. Raises DataError if these have no list of their classes, or one
    that is damaged, says too little, or numbers the classes otherwise than ImageNet.
    """
    arrangement = _entered(tree, arrangement)
    flat = _flat(tree, arrangement)
    sorted_splits = {
        split: place
        for split, place in arrangement.splits.items()
        if split not in flat and visible_folders(tree, place)
    }
    if not (flat or sorted_splits) or not all(_of_wnids(tree, place) for place in sorted_splits.values()):
        return None
    found: list[Entry] = []
    if sorted_splits:
        found += [
            _entry(one.path, one.split, by_wnid()[one.label])
            for one in find_pictures(tree, replace(arrangement, splits=sorted_splits))
        ]
    for split, pictures in flat.items():
        found += _listed_pictures(tree, arrangement, split, pictures)
    unread = sorted(set(arrangement.splits) - set(sorted_splits) - set(flat))
    if unread:
        _warn(f"{tree.location}: {listed(unread)} has no folders of classes and no known list: left out")
    present = len({entry.label for entry in found})
    _warn(
        f"{tree.location} is read as ImageNet: {present:,} of its {len(imagenet_classes()):,} classes, by"
        " WordNet ID, which is the order of torchvision"
    )
    return found


def _entered(tree: Tree, arrangement: Arrangement) -> Arrangement:
    """Return the arrangement of the folder that Kaggle's archive has the splits in, if it is one."""
    for place in (joined(arrangement.top, inside) for inside in KAGGLE):
        splits = {split: joined(place, name) for name in tree.folders(place) if (split := split_of(name))}
        if splits and not arrangement.splits:
            return Arrangement(place, splits, ())
    return arrangement


def _flat(tree: Tree, arrangement: Arrangement) -> Mapping[str, list[str]]:
    """Return the split `val`, with the paths of its pictures, if they lie side by side as distributed."""
    place = arrangement.splits.get("val")
    if place is None or visible_folders(tree, place):
        return {}
    pictures = [name for name in tree.files(place) if OFFICIAL.fullmatch(name)]
    others = [
        name
        for name in tree.files(place)
        if not OFFICIAL.fullmatch(name) and not is_litter(PurePosixPath(name))
    ]
    if pictures and others:
        _warn(f"{tree.location}: left out of val, which is ImageNet's: {listed(others)}")
    return {"val": [joined(place, name) for name in pictures]} if pictures else {}


def _of_wnids(tree: Tree, place: str) -> bool:
    return all(name in by_wnid() for name in visible_folders(tree, place))


def _entry(path: str, split: str, known: ImageNetClass) -> Entry:
    return Entry(path, split, known.name, known.place)


def _listed_pictures(
    tree: Tree, arrangement: Arrangement, split: str, pictures: Sequence[str]
) -> Iterator[Entry]:
    """Yield the pictures of a split that lie side by side, with the classes of the list of them."""
    class_of = _list(tree, arrangement, len(pictures))
    missing = [name for name in pictures if class_of(PurePosixPath(name).name) is None]
    if missing:
        raise DataError(
            f"{tree.location}: the list of classes lacks {len(missing)} pictures of {split}:"
            f" {listed(missing)}. Take the complete list, or remove these pictures."
        )
    for name in pictures:
        known = class_of(PurePosixPath(name).name)
        if known is not None:
            yield _entry(name, split, known)


ClassOf = Callable[[str], ImageNetClass | None]


def _list(tree: Tree, arrangement: Arrangement, count: int) -> ClassOf:
    """Return the function from a picture's file name to its class, from the first list that is there."""
    top = PurePosixPath(arrangement.top)
    tops = [str(place) if place.parts else "" for place in (top, *top.parents)]
    for above in dict.fromkeys(tops):
        if tree.holds(name := joined(above, SOLUTION)):
            return _from_solution(tree, name)
        for kit in KITS:
            for truth in TRUTHS:
                if tree.holds(name := joined(above, joined(kit, truth) if kit else truth)):
                    return _from_ground_truth(tree, name)
    raise DataError(
        f"{tree.location}: val has {count:,} pictures of ImageNet side by side, and no list of their classes."
        f" Put Kaggle's {SOLUTION} or the development kit's {TRUTHS[0]} beside val, or sort the pictures"
        " into folders named by WordNet ID, such as val/n01440764."
    )


def _lines(tree: Tree, name: str) -> list[str]:
    try:
        return tree.read(name).decode("utf-8-sig").splitlines()
    except (UnicodeDecodeError, ImageError) as error:
        raise DataError(f"{tree.location}: {name} is damaged: {error}. Copy it again.") from error


def _from_solution(tree: Tree, name: str) -> ClassOf:
    """Read Kaggle's list: ImageId,PredictionString, where the string is WordNet IDs with boxes."""
    where = f"{tree.location}: {name}"
    classes: dict[str, ImageNetClass] = {}
    for number, line in enumerate(_lines(tree, name), start=1):
        picture, comma, boxes = line.partition(",")
        words = boxes.replace('"', " ").split()
        if (number == 1 and picture.strip().casefold() == "imageid") or not line.strip():
            continue
        found = {word for word in words if re.fullmatch(r"n\d{8}", word)}
        if not comma or len(found) != 1 or not found <= by_wnid().keys():
            raise DataError(
                f"{where}, line {number} names {listed(sorted(found)) or 'no class'}; expected one WordNet"
                f" ID of the {len(by_wnid()):,} classes. Take Kaggle's own file."
            )
        known = by_wnid()[found.pop()]
        if classes.setdefault(f"{picture.strip()}.JPEG", known) != known:
            raise DataError(f"{where}, line {number}: {picture} has two classes. Take Kaggle's own file.")
    return classes.get


def _from_ground_truth(tree: Tree, name: str) -> ClassOf:
    """Read the development kit's list: line N has the number of the class of picture N."""
    where = f"{tree.location}: {name}"
    numbers: list[int] = []
    for line, text in enumerate(_lines(tree, name), start=1):
        stripped = text.strip()
        if not re.fullmatch(r"[0-9]{1,4}", stripped) or int(stripped) not in by_kit_number():
            raise DataError(
                f"{where}, line {line} is {stripped[:80]!r}; expected a class number from 1 to 1000. Take the"
                " development kit's own file."
            )
        numbers.append(int(stripped))
    _refuse_another_order(where, numbers)
    if len(numbers) != PICTURES:
        raise DataError(
            f"{where} has {len(numbers):,} lines; the development kit's has {PICTURES:,}. Copy it again."
        )

    def class_of(picture: str) -> ImageNetClass | None:
        matched = OFFICIAL.fullmatch(picture)
        place = int(matched[1]) if matched else 0
        return by_kit_number()[numbers[place - 1]] if 1 <= place <= len(numbers) else None

    return class_of


def _refuse_another_order(where: str, numbers: Sequence[int]) -> None:
    """Raise DataError if the list does not begin as the development kit's does."""
    for line, (found, expected) in enumerate(zip(numbers, FIRST, strict=False), start=1):
        if found != expected:
            raise DataError(
                f"{where} is not the development kit's list: line {line} is {found}, there it is {expected}."
                " It may number the classes in another order, and every label would be wrong. Take the"
                f" kit's own file, or Kaggle's {SOLUTION}."
            )


def _warn(text: str) -> None:
    logging.getLogger("edgec.data").warning(text)
