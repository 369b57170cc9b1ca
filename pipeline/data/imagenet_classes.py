"""ImageNet's 1,000 classes: WordNet IDs, the numbers of its development kit, and the usual names.

The order of networks is that of the WordNet IDs: torchvision, timm, Keras and Caffe have it. The development
kit numbers the classes otherwise, from 1 (its map_clsloc.txt and meta.mat).
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

SOME_OF_IMAGENET = ' For pictures of some of ImageNet\'s classes, say class_order = "imagenet".'
"""Ends the message that a network has 1,000 classes and the data set another number."""


class ImageNetClass(NamedTuple):
    """One class: its WordNet ID, its number in the development kit, its name, its place among the outputs."""

    wnid: str
    kit_number: int
    name: str
    place: int


@cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """Return the 1,000 classes in the order of networks' outputs."""
    text = files("pipeline.data").joinpath("imagenet_classes.txt").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        ImageNetClass(wnid, int(number), name, place) for place, (wnid, number, name) in enumerate(rows)
    )


@cache
def by_wnid() -> Mapping[str, ImageNetClass]:
    """Return the classes by WordNet ID."""
    return {one.wnid: one for one in imagenet_classes()}


@cache
def by_kit_number() -> Mapping[int, ImageNetClass]:
    """Return the classes by their number in the development kit, 1 to 1000."""
    return {one.kit_number: one for one in imagenet_classes()}


@cache
def _by_spelling() -> Mapping[str, ImageNetClass]:
    """Return the classes by usual name; in small letters too, where only one is called so."""
    exact = {one.name: one for one in imagenet_classes()}
    folded = [one.name.casefold() for one in imagenet_classes()]
    small = {one.name.casefold(): one for one in imagenet_classes() if folded.count(one.name.casefold()) == 1}
    return small | exact


def find_class(name: str) -> ImageNetClass | None:
    """Return the class that a name means: `n01440764`, `tench`, or `tench, Tinca tinca`; None for others."""
    first = name.partition(",")[0].replace("_", " ").strip()
    known = _by_spelling()
    return by_wnid().get(name) or known.get(first) or known.get(first.casefold())


def usual_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names with the usual one for each WordNet ID or other form; unknown ones as they are."""
    return tuple(name if (found := find_class(name)) is None else found.name for name in names)
