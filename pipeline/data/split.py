"""The images of a data set for one role, read as a stream."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.data.images import HasMasks, Images
from pipeline.errors import DataError, listed
from targets.runtime.preprocess import ImageError, Preprocessing

Role = Literal["train", "calibration", "evaluation"]

DAMAGED_SHARE = 0.01
"""A larger share of damaged pictures is an error: the rest may not be representative."""
ONE_OF = 10
"""In smaller sets one damaged picture is allowed: 1 % of a few pictures would be less than one."""


@dataclass(frozen=True)
class Sample:
    """One labelled picture. Its digest, the sha256 of its stored bytes, is its identity."""

    name: str
    digest: str
    label: int


@dataclass(frozen=True)
class Batch:
    """Preprocessed pictures: images uint8 [N, H, W, C], labels int64 [N], and their samples.

    masks: the class of each pixel, uint8 [N, H, W], if the data set has them; VOID where there is no label.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    samples: tuple[Sample, ...]
    masks: NDArray[np.uint8] | None = None


Skip = Callable[[Sample, str], None]
"""Told of each damaged picture, with the reason."""


def pass_over(_: Sample, __: str) -> None:
    """Leave a damaged picture out without a word."""


def log_damaged(sample: Sample, reason: str) -> None:
    """Log a skipped picture as a warning of the logger `edgec.data`."""
    logging.getLogger("edgec.data").warning("Skipped %s: %s", sample.name, reason)


@dataclass(frozen=True)
class Split:
    """The pictures `indices` of a store, in this order, for one role."""

    role: Role
    classes: tuple[str, ...]
    images: Images
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each sample, int64 [N]."""
        return self.images.labels[self.indices]

    @cached_property
    def digests(self) -> Sequence[str]:
        """The sha256 of each picture, in hex, in order. The first use reads every picture once."""
        return tuple(map(self.images.digest, self.indices.tolist()))

    @cached_property
    def samples(self) -> Sequence[Sample]:
        """All samples in order."""
        names = map(self.images.name, self.indices.tolist())
        return tuple(map(Sample, names, self.digests, self.labels.tolist()))

    def in_two_classes(self) -> str:
        """Name the pictures whose content is in another class too; empty if there are none."""
        first: dict[str, Sample] = {}
        found = [
            f"{one.name} = {first[one.digest].name}"
            for one in self.samples
            if first.setdefault(one.digest, one).label != one.label
        ]
        if not found:
            return ""
        pictures = "1 picture is" if len(found) == 1 else f"{len(found)} pictures are"
        return f"{pictures} in two classes, and one of them is wrong: {listed(found)}. Keep each in one."

    def readable(
        self, preprocessing: Preprocessing, batch_size: int, skip: Skip = pass_over
    ) -> Iterator[Batch]:
        """Yield batches of the pictures that can be read; `skip` is told of each damaged one."""
        return self.batches(preprocessing, batch_size, on_damaged=skip, damaged_share=1.0)

    def none(self, role: Role) -> "Split":
        """Return an empty split, for a role that needs no pictures."""
        return replace(self, role=role, indices=self.indices[:0])

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, of the class names and of each sample's content and label, in order.

        Names of pictures do not count: what shows them has `ShownNames` in its key too.
        """
        lines = [
            f"\n{digest} {label}" for digest, label in zip(self.digests, self.labels.tolist(), strict=True)
        ]
        return hashlib.sha256("".join(["\0".join(self.classes), *lines]).encode()).hexdigest()

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> "Split":
        """Return the samples at these positions of this split, in this order."""
        return replace(self, indices=self.indices[np.asarray(indices, np.int64)])

    def stratified(self, count: int, seed: int = 0) -> "Split":
        """Return `count` samples drawn so that classes keep their proportions; all if there are fewer.

        A smaller sample with the same seed is contained in a larger one. Samples keep their order. Raises
        DataError if none are asked for.
        """
        if count < 1:
            raise DataError(
                f"The {self.role} set would be empty: {count} images asked for. Ask for at least one."
            )
        return self.subset(np.sort(stratified_order(self.labels, seed)[:count]))

    def mixed(self, seed: int = 0) -> "Split":
        """Return all samples in an order whose every beginning has the classes in proportion.

        Data sets lie class after class. Whoever reads only the first images would see some classes only.
        """
        return self.subset(stratified_order(self.labels, seed))

    def batches(
        self,
        preprocessing: Preprocessing,
        batch_size: int,
        on_damaged: Skip = log_damaged,
        damaged_share: float = DAMAGED_SHARE,
    ) -> Iterator[Batch]:
        """Yield preprocessed batches in order; only one batch is held in memory.

        A damaged picture is reported to `on_damaged` and left out. Raises DataError, naming the first of
        them, as soon as they are more than `damaged_share` of the split; a single one may be.
        """
        damaged: list[tuple[str, str]] = []
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            images, samples, masks = [], [], []
            for index, sample in zip(self.indices[part], self.samples[part], strict=True):
                try:
                    picture = self.images.decode(int(index), preprocessing.channels)
                    mask = self._mask(int(index), picture, sample)
                except ImageError as error:
                    damaged.append((sample.name, str(error)))
                    on_damaged(sample, str(error))
                    self.refuse_if_too_many(damaged, damaged_share)
                else:
                    images.append(preprocessing(picture))
                    samples.append(sample)
                    if mask is not None:
                        masks.append(preprocessing.mask(mask))
            if images:
                labels = np.array([sample.label for sample in samples], np.int64)
                yield Batch(np.stack(images), labels, tuple(samples), np.stack(masks) if masks else None)

    def _mask(self, index: int, picture: NDArray[np.uint8], sample: Sample) -> NDArray[np.uint8] | None:
        if not isinstance(self.images, HasMasks):
            return None
        mask = self.images.mask(index)
        if mask.shape != picture.shape[:2]:
            sizes = [f"{width} x {height}" for height, width in (mask.shape, picture.shape[:2])]
            raise DataError(
                f"The mask of {sample.name} is {sizes[0]} pixels, the picture {sizes[1]}: they would not lie"
                " on each other. A photo may be turned by its EXIF orientation, which a PNG has not."
            )
        return mask

    def refuse_if_too_many(self, damaged: Sequence[tuple[str, str]], share: float = DAMAGED_SHARE) -> None:
        """Raise DataError if too many of this split's pictures are damaged: their names, with the reasons."""
        if len(damaged) > max(share * len(self), len(self) >= ONE_OF):
            names = listed([f"{name} ({reason})" for name, reason in damaged])
            raise DataError(
                f"At least {len(damaged)} of the {len(self)} {self.role} images are damaged, more than the"
                f" {share:.0%} that are skipped. First: {names}. Restore or remove them."
            )


@dataclass(frozen=True)
class ShownNames:
    """The names of a split's pictures, for the keys of stages that write some of them down."""

    split: Split

    @cached_property
    def digest(self) -> str:
        """The sha256, in hex, of the names in order."""
        names = (self.split.images.name(index) for index in map(int, self.split.indices))
        return hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()


def stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a permutation of the positions of `labels`; each prefix of it has the classes in proportion.

    Within a class the order is random. Only a bit generator's raw stream is used, which NumPy keeps stable
    (NEP 19), so that a seed gives the same sample in every version.
    """
    random = np.random.Philox(key=seed).random_raw(len(labels))
    by_class = np.lexsort((random, labels))
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - starts[labels[by_class]]
    return np.lexsort((random, (rank + 0.5) / counts[labels]))
