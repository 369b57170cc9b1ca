"""Observers: statistics of a tensor's values over images, and the range that follows from them.

All stream: memory does not grow with the images. All merge: observers fed with parts, merged, equal one fed
with the whole, exactly and in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self, assert_never

import numpy as np
from numpy.typing import NDArray

from calibration.grid import activation_grid
from calibration.histogram import Histogram, image_ends
from calibration.image_extremes import ImageExtremes
from calibration.scheme import ObserverName, Scheme

PERCENTILE = 0.99999
KL_BINS = 2048
KL_LEVELS = 128


@dataclass(frozen=True)
class Range:
    """The interval of real values that a tensor's 8-bit grid covers."""

    low: float
    high: float


class Observer(Protocol):
    """Sees one tensor's values and proposes its range."""

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's values [n, ...] for n images; all are finite."""
        ...

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen."""
        ...

    def range(self) -> Range:
        """The range for what was seen; [0, 0] before the first value."""
        ...


class MinMax:
    """The smallest and the largest value seen, widened to contain 0."""

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's values."""
        self.low = min(self.low, float(values.min(initial=0)))
        self.high = max(self.high, float(values.max(initial=0)))

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def range(self) -> Range:
        """[smallest, largest]."""
        return Range(self.low, self.high)


class Average:
    """The mean of each image's smallest and largest value: a moving average that weighs all images alike.

    onnxruntime's `CalibMovingAverage` is the same over batches. Sums are exact fractions, so the order of
    images has no effect.
    """

    def __init__(self) -> None:
        self.extremes = ImageExtremes()

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's values."""
        self.extremes.update(image_ends(values))

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen."""
        self.extremes.merge(other.extremes)

    def range(self) -> Range:
        """[mean smallest, mean largest]."""
        return Range(*self.extremes.means())


class FromHistogram:
    """A histogram of the values, and a rule that reads a range from it."""

    def __init__(self, rule: Callable[[Histogram], Range]) -> None:
        self.histogram = Histogram()
        self.rule = rule

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's values."""
        self.histogram.update(values)

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen."""
        self.histogram.merge(other.histogram)

    def range(self) -> Range:
        """The range that the rule reads from the histogram."""
        if not self.histogram.width:
            return Range(0.0, 0.0)
        return self.rule(self.histogram)


class LeastSquares(FromHistogram):
    """The range of `least_squares`, stretched by what more images are expected to exceed it.

    A few images do not have the extremes of all. Values beyond the range are clipped, and of many channels
    some always are. `image_extremes` says by how much the extremes grow.
    """

    def __init__(self, scheme: Scheme) -> None:
        super().__init__(partial(least_squares, scheme=scheme))
        self.extremes = ImageExtremes()

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in the tensor's values."""
        ends = image_ends(values)
        self.histogram.update(values, ends=ends)
        self.extremes.update(ends)

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen."""
        super().merge(other)
        self.extremes.merge(other.extremes)

    def range(self) -> Range:
        """The range of least squared error, for the images of `image_extremes.ENOUGH` or those seen."""
        found = super().range()
        return Range(*self.extremes.stretched(found.low, found.high))


def percentile(histogram: Histogram) -> Range:
    """Leave out 1 - PERCENTILE of all values at each end, to a bin's width; never beyond the extremes."""
    centres, counts = histogram.nonzero()
    edge = histogram.width / 2
    values = np.insert(centres, np.searchsorted(centres, 0), 0.0)
    below = np.cumsum(np.insert(counts, np.searchsorted(centres, 0), histogram.zeros)) / (
        counts.sum() + histogram.zeros
    )
    high = values[np.searchsorted(below, PERCENTILE)] + edge
    low = values[np.searchsorted(below, 1 - PERCENTILE, side="right")] - edge
    return Range(max(histogram.low, min(0.0, float(low))), min(histogram.high, max(0.0, float(high))))


def entropy(histogram: Histogram, scheme: Scheme) -> Range:
    """The clipping threshold of least Kullback-Leibler divergence, over 2048 bins of the magnitudes.

    Migacz, "8-bit Inference with TensorRT" (GTC 2017): for each threshold i from 128 to 2048 bins, P is the
    first i bins with the clipped rest added to the last one, Q the first i bins merged into 128 levels and
    spread evenly again over those bins that were not empty; the i of least KL(P || Q) wins. Exact zeros are
    left out. uint8 has 256 levels for a tensor that is never negative.
    """
    bins, width = _magnitudes(histogram)
    levels = 2 * KL_LEVELS if scheme is Scheme.ASYM and histogram.low == 0 else KL_LEVELS
    best = levels + int(_divergences(bins, levels).argmin())
    threshold = best * width
    return Range(max(histogram.low, -threshold), min(histogram.high, threshold))


def least_squares(histogram: Histogram, scheme: Scheme) -> Range:
    """The range whose grid has the least mean squared error on the values seen.

    Searched over shrunken extremes: both ends together by steps of 1 %, then each end alone around the best.
    """
    centres, counts = histogram.nonzero()
    x = centres.astype(np.float32)

    def error(shrink: tuple[float, float]) -> float:
        grid = activation_grid(histogram.low * shrink[0], histogram.high * shrink[1], scheme)
        difference = grid.dequantize(grid.quantize(x)) - centres
        return float((difference * difference) @ counts)

    low, high = min(((f, f) for f in np.arange(0.1, 1.005, 0.01)), key=error)
    fine = np.arange(-0.05, 0.0505, 0.0025)
    high = min((float(np.clip(high + d, 0.05, 1)) for d in fine), key=lambda f: error((low, f)))
    low = min((float(np.clip(low + d, 0.05, 1)) for d in fine), key=lambda f: error((f, high)))
    return Range(histogram.low * low, histogram.high * high)


def make_observer(name: ObserverName, scheme: Scheme) -> Observer:
    """Return a new observer for the grid of `scheme`."""
    match name:
        case ObserverName.MINMAX:
            return MinMax()
        case ObserverName.AVERAGE:
            return Average()
        case ObserverName.PERCENTILE:
            return FromHistogram(percentile)
        case ObserverName.ENTROPY:
            return FromHistogram(partial(entropy, scheme=scheme))
        case ObserverName.MSE:
            return LeastSquares(scheme)
        case unknown:
            assert_never(unknown)


def _magnitudes(histogram: Histogram) -> tuple[NDArray[np.float64], float]:
    """The counts of |x| in KL_BINS bins that reach just over the largest, and their width."""
    centres, counts = histogram.nonzero()
    largest = max(-histogram.low, histogram.high)
    width = histogram.width * max(1, int(np.ceil(largest / (KL_BINS * histogram.width))))
    index = np.minimum((np.abs(centres) / width).astype(np.intp), KL_BINS - 1)
    bins: NDArray[np.float64] = np.bincount(index, weights=counts, minlength=KL_BINS).astype(np.float64)
    return bins, width


def _divergences(bins: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    """KL(P || Q) of `entropy` for the thresholds levels to KL_BINS, infinite where Q misses what P has.

    Q is constant in a level, so sum p log q needs a level's counts and not its bins: differences of running
    sums, at the edges of the levels of all thresholds at once. Values are rounded, so that equal ones stay
    equal and the first wins.
    """
    from scipy.special import xlogy  # takes long to import

    thresholds = np.arange(levels, len(bins) + 1)
    edges = -(-thresholds[:, None] * np.arange(levels + 1) // levels)  # bin j is in level j * levels // i
    count, filled, own = (_running_sum(a) for a in (bins, bins > 0, xlogy(bins, bins)))
    inside, kinds = np.diff(count[edges]), np.diff(filled[edges])
    share = inside / np.maximum(kinds, 1)
    total, last, kept = bins.sum(), bins[thresholds - 1], count[thresholds]
    clipped = total - kept
    p_log_p = own[thresholds - 1] + xlogy(last + clipped, last + clipped)
    p_log_q = xlogy(inside, share).sum(axis=1) + xlogy(clipped, share[:, -1])
    missed = (last == 0) & (clipped > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergences = (p_log_p - p_log_q) / total - np.log(total) + np.log(kept)
    return np.where(missed, np.inf, np.round(divergences, 12))


def _running_sum(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """float64 [n + 1]: element i is the sum of the first i values."""
    sums: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return sums
