"""Pictures for segmentation: `<split>/images/`, with masks of the same names in `<split>/masks/`.

Folders of pictures and masks have other common names too, and may be around those of splits.
A mask is a PNG, gray or with a palette, whose values are class numbers; 255 marks pixels without a label. A
data set without masks can be used too; its labels are then ignored.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.cache.digest import value_digest
from pipeline.data.arrangement import find_arrangement, joined, split_of, visible_folders
from pipeline.data.class_folders import SUFFIXES
from pipeline.data.dataset import Dataset
from pipeline.data.images import Images
from pipeline.data.label_table import LABELS
from pipeline.data.not_classes import MASKS, PICTURES, reduced
from pipeline.data.open import open_dataset
from pipeline.data.relabel import Relabelled
from pipeline.data.tree import FileDigest, FolderTree, Tree, TreeImages, ZipTree, read_unchanged
from pipeline.errors import DataError, listed
from pipeline.reading.zip_file import is_zip
from targets.runtime.picture_damage import what_is_damaged
from targets.runtime.preprocess import VOID, ImageError

LOOKED_AT = 16
"""The number of masks from which the meaning of their values is judged."""


class MaskedImages(TreeImages):
    """Pictures that are files of a tree, each with a mask. Their class label is always 0."""

    def __init__(self, tree: Tree, names: tuple[str, ...], masks: tuple[str, ...], classes: int) -> None:
        super().__init__(tree, names, np.zeros(len(names), np.int64))
        self._masks = masks
        self._classes = classes
        self._looked_at = False

    def digest(self, index: int) -> str:
        """Return a digest of the picture and its mask."""
        return value_digest([super().digest(index), self._tree.digest(self._masks[index])])

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Return the class numbers, uint8 [H, W]. Raises ImageError, and DataError for unknown classes."""
        self._refuse_two_colours()
        name = self._masks[index]
        mask = self._read(name)
        largest = int(mask[mask != VOID].max(initial=0))
        if largest >= self._classes:
            raise DataError(
                f"{self._tree.location}: the mask {name} has the class {largest}; the model has 0 to"
                f" {self._classes - 1}, and {VOID} stands for no label."
            )
        return mask

    def _read(self, name: str) -> NDArray[np.uint8]:
        return read_mask(read_unchanged(self._tree, name), f"{self._tree.location}: the mask {name}")

    def _refuse_two_colours(self) -> None:
        """Raise DataError if the first masks are black and white: white would be no label."""
        if self._looked_at:
            return
        self._looked_at = True
        values = set[int]()
        for name in self._masks[:LOOKED_AT]:
            try:
                values.update(np.unique(self._read(name)).tolist())
            except ImageError:
                continue  # reported where it is read
        if values == {0, VOID}:
            raise DataError(
                f"{self._tree.location}: the masks have 0 and {VOID} only, and {VOID} stands for no label, so"
                f" that nothing but class 0 would count. Write class numbers: 1 where they have {VOID}."
            )


def read_mask(encoded: bytes, what: str) -> NDArray[np.uint8]:
    """Return the class numbers, uint8 [H, W], in a PNG: its gray values, or its indices into a palette.

    Raises ImageError if it cannot be decoded, and DataError if it holds colours and not numbers.
    """
    if damage := what_is_damaged(encoded):
        raise ImageError(f"{what}: {damage}")
    if encoded[:2] == b"P2":
        raise ImageError(f"{what} is a PGM in text, whose numbers OpenCV may scale; save it as PNG")
    try:
        found = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED) if encoded else None
    except cv2.error:  # larger than OpenCV's own limit
        found = None
    if found is None:
        raise ImageError(f"{what} is not a picture that OpenCV can decode")
    if found.ndim == 2 and found.dtype == np.uint8:
        return np.asarray(found, np.uint8)
    palette = _palette(encoded)
    if found.ndim == 3 and palette is not None and len(set(palette.tolist())) == len(palette):
        order = np.argsort(palette)  # OpenCV replaces indices by colours
        return order[
            np.searchsorted(palette[order], _packed(np.asarray(found, np.uint8)[:, :, 2::-1]))
        ].astype(np.uint8)
    raise DataError(
        f"{what} is a colour picture. Write masks as 8-bit gray PNGs, or with a palette of different"
        " colours: the values are class numbers."
    )


def _palette(png: bytes) -> NDArray[np.int64] | None:
    """Return the colours of the chunk PLTE (PNG 1.2, 11.2.3) as packed numbers; None if there is none."""
    place = 8  # after the signature
    while place + 8 <= len(png):
        length, kind = int.from_bytes(png[place : place + 4], "big"), png[place + 4 : place + 8]
        if kind == b"PLTE":
            colours = np.frombuffer(png[place + 8 : place + 8 + length], np.uint8)
            return _packed(colours[: len(colours) // 3 * 3].reshape(-1, 3))
        place += 12 + length
    return None


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return red, green and blue [..., 3] as one number each."""
    packed: NDArray[np.int64] = rgb.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    return packed


def open_for_segmentation(
    location: Path, labels: str | None, classes: tuple[str, ...], digest: FileDigest
) -> Dataset:
    """Open a data set for a segmentation model with these classes, with masks if it has them.

    Raises DataError for a picture without its mask, and as `open_dataset` does.
    """
    tree = _tree(location, digest)
    stored = {} if tree is None else _with_masks(tree, len(classes))
    if stored:
        return Dataset(str(location), classes, stored)
    plain = open_dataset(location, labels, digest)
    nothing = np.zeros(len(plain.classes), np.int64)
    return Dataset(
        plain.location,
        classes,
        {split: partial(_unlabelled, opener, nothing) for split, opener in plain.stored.items()},
    )


def _unlabelled(opener: Callable[[], Images], numbers: NDArray[np.int64]) -> Images:
    return Relabelled(opener(), numbers)


def _tree(location: Path, digest: FileDigest) -> Tree | None:
    if location.is_dir():
        return FolderTree(location, digest)
    return ZipTree(location) if is_zip(location) else None


def _with_masks(tree: Tree, classes: int) -> dict[str, Callable[[], Images]]:
    stored: dict[str, Callable[[], Images]] = {}
    for split, (images, beside) in _places(tree).items():
        masks = {_stem(name, beside): name for name in tree.below(beside)}
        pictures = [name for name in tree.below(images) if _is_picture(name)]
        alone = [name for name in pictures if _stem(name, images) not in masks]
        if alone:
            raise DataError(
                f"{tree.location}: {len(alone)} pictures of {split} have no mask: {listed(alone)}. Put a PNG"
                f" of the same name into {beside}, or take the picture out."
            )
        chosen = tuple(masks[_stem(name, images)] for name in pictures)
        stored[split] = partial(MaskedImages, tree, tuple(pictures), chosen, classes)
    return stored


def _places(tree: Tree) -> dict[str, tuple[str, str]]:
    """Return the folders of pictures and of masks by split: `<split>/images`, or `images/<split>`."""
    arrangement = find_arrangement(tree, LABELS)
    found = {}
    for split, place in arrangement.splits.items():
        if pair := _pair(tree, place):
            found[split] = pair
    without = [name for split, name in arrangement.splits.items() if split not in found and tree.below(name)]
    if found and without:
        logging.getLogger("edgec.data").warning(
            "%s: left out %s, which has no folder of masks", tree.location, listed(without)
        )
    if not arrangement.splits and (outer := _pair(tree, arrangement.top)):
        images, masks = ({split_of(name): name for name in visible_folders(tree, one)} for one in outer)
        for named in images.keys() & masks.keys() - {None}:
            found[str(named)] = joined(outer[0], images[named]), joined(outer[1], masks[named])
    return dict(sorted(found.items()))


def _pair(tree: Tree, place: str) -> tuple[str, str] | None:
    """Return the only folder of pictures in `place`, and the only one of masks."""
    folders = visible_folders(tree, place)
    pairs = [
        [joined(place, name) for name in folders if reduced(name) in names] for names in (PICTURES, MASKS)
    ]
    images, masks = ([one for one in named if tree.below(one)] for named in pairs)
    return (images[0], masks[0]) if len(images) == len(masks) == 1 else None


def _stem(name: str, folder: str) -> str:
    """Return the path below a folder, without its suffix."""
    return str(PurePosixPath(name).relative_to(folder).with_suffix(""))


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
