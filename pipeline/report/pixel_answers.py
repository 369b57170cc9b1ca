"""The right pixels of FP32 and INT8 for each image, and the accuracy over all images.

Pixels are counted in integers, and means are made of values kept for each image. So the accuracy does not
depend, in any bit, on how the set was divided.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from pipeline.errors import ReportError
from pipeline.report.logit_distance import LogitNoise
from pipeline.report.model.paired_figures import PairedScore
from pipeline.report.model.pixel_accuracy import PixelAccuracy, PixelClass, PixelPicture
from pipeline.report.overlap import class_iou
from pipeline.report.paired import paired_scores
from pipeline.report.record import Record
from targets.base import Origin

PICTURES = 12
"""How many images are shown: those with the largest loss."""

Scores = tuple[tuple[float, float], ...]  # of each image: FP32, INT8
Counts = tuple[tuple[NonNegativeInt, ...], ...]


class PixelAnswers(Record):
    """Images with a labelled pixel, in evaluation order."""

    labelled: bool  # False: the reference is what FP32 says
    size: tuple[NonNegativeInt, NonNegativeInt]  # height and width of the output; 0 without any image
    right: Scores  # share of right pixels
    iou: Scores  # mean of the classes that the image has
    same: tuple[float, ...]  # share of pixels with the same class, right or wrong
    reference: Counts  # of each image: pixels of each class
    confusions: tuple[Counts, Counts]  # of FP32, of INT8: [reference, said]
    signal: tuple[float, ...]  # of each image, also without labels: sum of the squares of FP32's logits
    noise: tuple[float, ...]  # sum of the squares of the differences
    worst: tuple[tuple[NonNegativeInt, PixelPicture], ...]  # each with its position among the images


def most_lost(pictures: Sequence[tuple[int, PixelPicture]]) -> tuple[tuple[int, PixelPicture], ...]:
    """Return the pictures that lost most, the worst first; of equals, the earlier one."""
    return tuple(sorted(pictures, key=lambda one: (one[1].int8 - one[1].fp32, one[0]))[:PICTURES])


def pixel_accuracy(parts: Sequence[PixelAnswers], fp32: Origin, int8: Origin) -> PixelAccuracy:
    """Return the accuracy on all images of `parts`, which are in evaluation order.

    fp32, int8: where the two networks ran. Raises ReportError if no image has a labelled pixel.
    """
    counted = [part for part in parts if part.right]
    if not counted:
        raise ReportError("no evaluation image has a labelled pixel: accuracy needs at least one")
    labelled = counted[0].labelled
    right = np.array([row for part in counted for row in part.right])  # [image, FP32 or INT8]
    iou = np.array([row for part in counted for row in part.iou])
    pixels, overlap = (paired_scores(each[:, 0], each[:, 1]) for each in (right, iou))
    guess = _above_guess(counted, right[:, 0], iou[:, 0]) if labelled else (None, None)
    if not labelled:  # the reference is FP32 itself: INT8 cannot be closer
        pixels, overlap = _at_least_zero(pixels), _at_least_zero(overlap)
    per_class = _per_class(np.sum([part.confusions for part in counted], axis=0, dtype=np.int64))
    there = [one for one in per_class if one.pixels]
    return PixelAccuracy(
        fp32_origin=fp32,
        int8_origin=int8,
        labelled=labelled,
        size=counted[0].size,
        pixels=pixels,
        iou=overlap,
        fp32_mean_iou=float(np.mean([one.fp32_iou for one in there if one.fp32_iou is not None])),
        int8_mean_iou=float(np.mean([one.int8_iou for one in there if one.int8_iou is not None])),
        agreement=float(np.mean([same for part in counted for same in part.same])),
        sqnr_db=LogitNoise(
            (value for part in parts for value in part.signal),
            (value for part in parts for value in part.noise),
        ).sqnr_db,
        per_class=per_class,
        worst=_worst(counted),
        int8_scores=tuple(right[:, 1].tolist()),
        pixels_above_guess=guess[0],
        iou_above_guess=guess[1],
    )


def _worst(parts: Sequence[PixelAnswers]) -> tuple[PixelPicture, ...]:
    pictures: list[tuple[int, PixelPicture]] = []
    first = 0
    for part in parts:
        pictures += [(first + position, picture) for position, picture in part.worst]
        first += len(part.right)
    return tuple(picture for _, picture in most_lost(pictures))


def _above_guess(
    parts: Sequence[PixelAnswers], right: NDArray[np.float64], iou: NDArray[np.float64]
) -> tuple[PairedScore, PairedScore]:
    """Compare FP32 with always answering the class that most pixels have, image by image."""
    there = np.array([row for part in parts for row in part.reference])  # [image, class]
    shares = there[:, there.sum(0).argmax()] / there.sum(1)
    return paired_scores(shares, right), paired_scores(shares / (there > 0).sum(1), iou)


def _per_class(confusions: NDArray[np.int64]) -> tuple[PixelClass, ...]:
    """Return each class from counts [FP32 or INT8, reference, said]."""
    ious = [[None if np.isnan(iou) else float(iou) for iou in class_iou(each)] for each in confusions]
    pixels = confusions[0].sum(1).tolist()
    return tuple(
        PixelClass(label=k, pixels=count, fp32_iou=fp32, int8_iou=int8)
        for k, (count, fp32, int8) in enumerate(zip(pixels, *ious, strict=True))
    )


def _at_least_zero(score: PairedScore) -> PairedScore:
    low = max(0.0, score.drop_interval.low)
    return score.replace(drop_interval=score.drop_interval.replace(low=low))
