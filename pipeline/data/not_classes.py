"""Folders that look like classes and are something else: pictures beside their masks, or splits."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import PurePosixPath

from pipeline.data.arrangement import SPELLINGS
from pipeline.data.tree import Tree
from pipeline.errors import DataError, listed
from targets.runtime.preprocess import ImageError

MASKS = frozenset(
    {"masks", "mask", "labels", "label", "annotations", "annotation", "anndir", "ann", "groundtruth", "gt"}
    | {"gtfine", "gtcoarse", "segmentation", "segmentations", "segmentationclass", "labelids", "trainids"}
)
"""Names of folders of masks, in small letters and without separators."""
PICTURES = frozenset(
    {"images", "image", "imgs", "img", "imgdir", "jpegimages", "leftimg8bit", "pictures", "photos", "rgb"}
)
"""Names of the folders of pictures beside them."""
SAMPLED = 8
"""The most pictures of a folder that are opened to see whether they are masks."""
HEADER = 26
NUMBERS = (b"\x00", b"\x03")
"""A PNG's colour types gray and palette (PNG 1.2, 11.2.2), as masks have them."""


def reduced(name: str) -> str:
    """Return a name in small letters, without separators."""
    return re.sub(r"[\W_]+", "", name.casefold())


def refuse_masks(tree: Tree, labels: Sequence[str], names_of: Callable[[str], Collection[str]]) -> None:
    """Raise DataError if two of the `labels` are pictures and the labels of their pixels.

    names_of: the paths of a label's pictures. Masks are known by the names of the two folders; or by their
    files, where each has the name of a picture and is a PNG of numbers while the pictures are none.
    """
    masks = [name for name in labels if reduced(name) in MASKS]
    pictures = [name for name in labels if reduced(name) in PICTURES]
    if not (masks and pictures) and len(labels) == 2:
        for one, other in (labels, labels[::-1]):
            if _are_masks(tree, names_of(other), names_of(one)):
                pictures, masks = [one], [other]
    if masks and pictures:
        raise DataError(
            f"{tree.location} has pictures in {pictures[0]!r} and {masks[0]!r}, which look like pictures and"
            " the labels of their pixels, not like two classes. For segmentation put them into test/images"
            " and test/masks, and the same for train."
        )


def refuse_splits(tree: Tree, folders_of: Callable[[str], Collection[str]], labels: Sequence[str]) -> None:
    """Raise DataError if the `labels` are numbered or named like splits and hold the same folders each."""
    inside = [frozenset(folders_of(name)) for name in labels]
    spelled = {word for words in SPELLINGS.values() for word in words if len(word) > 3} | {"val"}
    if (
        len(labels) > 1
        and len(set(inside)) == 1
        and len(inside[0]) > 1
        and all(re.search(r"\d", name) or any(w in reduced(name) for w in spelled) for name in labels)
    ):
        raise DataError(
            f"{tree.location}: {listed(labels)} hold the same folders each"
            f" ({listed(sorted(inside[0]))}), which looks like splits and not like classes."
            " Call the folders train, calibration and test."
        )


def _are_masks(tree: Tree, ones: Collection[str], pictures: Collection[str]) -> bool:
    """Whether `ones` are PNGs of numbers with the names of `pictures`, which are not."""
    stems = {PurePosixPath(name).stem for name in pictures}
    if not ones or not all(PurePosixPath(name).suffix.lower() == ".png" for name in ones):
        return False
    if not stems or not all(PurePosixPath(name).stem in stems for name in ones):
        return False
    return all(_of_numbers(tree, ones)) and not any(_of_numbers(tree, pictures))


def _of_numbers(tree: Tree, names: Iterable[str]) -> list[bool]:
    """Whether some of the pictures are PNGs of one number a pixel."""
    found = []
    for name in sorted(names)[:SAMPLED]:
        try:
            begin = tree.read(name)[:HEADER]
        except ImageError:
            continue
        found.append(begin[:4] == b"\x89PNG" and begin[25:26] in NUMBERS)
    return found
