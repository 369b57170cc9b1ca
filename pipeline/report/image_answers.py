"""The answers of FP32 and INT8 for each image, and the accuracy over all images.

Sums are exact, or are made once all answers are there. So the accuracy does not depend, in any bit, on how
the set was divided.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt

from pipeline.errors import ReportError
from pipeline.report.logit_distance import LogitNoise
from pipeline.report.model.image_accuracy import Accuracy, ClassAccuracy, NegativeFlip
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.paired import pack_bits, paired_images
from pipeline.report.record import Record
from pipeline.report.stats import wilson_interval
from targets.base import Origin

THUMBNAILS = 24
"""How many flips are shown with their picture: those with the largest margin in FP32."""

Column = tuple[NonNegativeInt, ...]


class ImageAnswers(Record):
    """One entry for each image, in evaluation order, and the images that only FP32 gets right."""

    classes: PositiveInt
    label: Column
    fp32_class: Column
    int8_class: Column
    fp32_rank: Column  # place of the label among the logits, 0 the best
    int8_rank: Column
    kl_nats: tuple[float, ...]
    signal: tuple[float, ...]  # sum of the squares of FP32's logits
    noise: tuple[float, ...]  # sum of the squares of the differences
    flips: tuple[NegativeFlip, ...]  # with thumbnails for the largest margins


def shown_at(flip: NegativeFlip) -> tuple[float, str]:
    """Return what flips are sorted by: the one that FP32 was surest of is shown first."""
    return -flip.fp32_margin, flip.name


def image_accuracy(parts: Sequence[ImageAnswers], fp32: Origin, int8: Origin) -> Accuracy:
    """Return the accuracy on all images of `parts`, which are in evaluation order.

    fp32, int8: where the two networks ran. Raises ReportError if there is no image, or if the parts are not
    of one network.
    """
    if len({part.classes for part in parts}) > 1:
        raise ReportError("the parts are of networks with different numbers of classes")
    whole = _AnswerColumns(parts)
    if not whole.images:
        raise ReportError("no evaluation image was counted: accuracy needs at least one")
    agreeing = int((whole.fp32_class == whole.int8_class).sum())
    return Accuracy(
        fp32_origin=fp32,
        int8_origin=int8,
        top1=whole.within(1),
        top5=whole.within(5) if whole.classes > 5 else None,
        agreement=agreeing / whole.images,
        agreement_interval=wilson_interval(agreeing, whole.images),
        kl_nats=math.fsum(value for part in parts for value in part.kl_nats) / whole.images,
        sqnr_db=LogitNoise(
            (value for part in parts for value in part.signal),
            (value for part in parts for value in part.noise),
        ).sqnr_db,
        per_class=whole.per_class(),
        confusion=whole.confusion(),
        negative_flips=_shown([flip for part in parts for flip in part.flips]),
        fp32_right=pack_bits(whole.fp32_class == whole.label),
        int8_right=pack_bits(whole.int8_class == whole.label),
    )


def _shown(flips: Sequence[NegativeFlip]) -> tuple[NegativeFlip, ...]:
    """Return the flips, the largest margin first, with a thumbnail for the first THUMBNAILS only."""
    return tuple(
        flip if place < THUMBNAILS else flip.replace(thumbnail_png=None)
        for place, flip in enumerate(sorted(flips, key=shown_at))
    )


class _AnswerColumns:
    """The answers of all parts as arrays, one entry an image."""

    def __init__(self, parts: Sequence[ImageAnswers]) -> None:
        self._parts = parts
        self.label = self._column("label")
        self.fp32_class, self.int8_class = self._column("fp32_class"), self._column("int8_class")
        self.images = len(self.label)

    @cached_property
    def classes(self) -> int:
        return self._parts[0].classes

    def _column(self, name: str) -> NDArray[np.int64]:
        values = [np.array(getattr(part, name), np.int64) for part in self._parts]
        return np.concatenate([np.zeros(0, np.int64), *values])

    def within(self, places: int) -> PairedRate:
        """Compare how often the label is among the first `places` logits."""
        return paired_images(self._column("fp32_rank") < places, self._column("int8_rank") < places)

    def per_class(self) -> tuple[ClassAccuracy, ...]:
        fp32, int8 = self.fp32_class == self.label, self.int8_class == self.label
        counts = [
            np.bincount(self.label[chosen], minlength=self.classes).tolist()
            for chosen in (np.ones_like(fp32), fp32, int8, fp32 & ~int8, ~fp32 & int8)
        ]
        return tuple(
            ClassAccuracy(label=k, images=images, fp32_correct=a, int8_correct=b, worse=worse, better=better)
            for k, (images, a, b, worse, better) in enumerate(zip(*counts, strict=True))
        )

    def confusion(self) -> tuple[tuple[int, int, int, int], ...]:
        """Return label, class said, and how often by FP32 and by INT8, for the pairs that occur."""
        said = np.stack([self.fp32_class, self.int8_class])
        cells, place = np.unique(self.label * self.classes + said, return_inverse=True)
        of_fp32, of_int8 = (np.bincount(p, minlength=len(cells)) for p in place.reshape(2, -1))
        columns = (*np.divmod(cells, self.classes), of_fp32, of_int8)
        return tuple(zip(*(column.tolist() for column in columns), strict=True))
