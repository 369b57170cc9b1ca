"""Compares which of the same images two networks get right: by counts, or by bits that later builds read."""

import base64
import binascii

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ReportError
from pipeline.report.model.paired_figures import PairedRate, PairedScore
from pipeline.report.stats import difference_interval, mcnemar_exact, mean_interval


def paired_rate(outcomes: NDArray[np.int64]) -> PairedRate:
    """Compare right answers before and after from their counts [right before (0 or 1), right after]."""
    images, worse, better = int(outcomes.sum()), int(outcomes[1, 0]), int(outcomes[0, 1])
    interval = difference_interval(worse, better, images)
    return PairedRate(
        images=images,
        fp32_correct=int(outcomes[1].sum()),
        int8_correct=int(outcomes[:, 1].sum()),
        worse=worse,
        better=better,
        drop_points=100 * (worse - better) / images,
        drop_interval=interval.scaled(100),
        mcnemar_p=mcnemar_exact(worse, better),
    )


def paired_images(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> PairedRate:
    """Compare which of the same images [N] were right before and after."""
    outcomes = np.zeros((2, 2), np.int64)
    np.add.at(outcomes, (before.astype(int), after.astype(int)), 1)
    return paired_rate(outcomes)


def paired_scores(fp32: NDArray[np.float64], int8: NDArray[np.float64]) -> PairedScore:
    """Compare scores in [0, 1] of the same images [N]."""
    drops = fp32 - int8
    return PairedScore(
        images=len(drops),
        fp32=float(fp32.mean()),
        int8=float(int8.mean()),
        drop_points=100 * float(drops.mean()),
        drop_interval=mean_interval(drops).scaled(100),
        change_sd=100 * float(drops.std()),
    )


def pack_bits(right: NDArray[np.bool_]) -> str:
    """Return booleans as base64 text, eight a byte, the first the highest bit."""
    return base64.b64encode(np.packbits(right).tobytes()).decode("ascii")


def unpack_bits(text: str, images: int) -> NDArray[np.bool_]:
    """Return the first `images` booleans of what `pack_bits` wrote. Raises ReportError if there are fewer."""
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except binascii.Error as error:
        raise ReportError(f"the bits of a report are not base64: {error}") from error
    if len(packed) != (images + 7) // 8:
        raise ReportError(f"a report has {8 * len(packed)} bits for {images} images")
    return np.unpackbits(packed, count=images).astype(bool)
