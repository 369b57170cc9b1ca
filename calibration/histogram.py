"""A histogram that can be streamed and merged exactly, since its bin widths are powers of two."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BINS = 8192
"""Bins on each side of zero."""
VALUES_AN_IMAGE = 1 << 16
"""In a larger tensor every k-th value is counted, k odd; the extremes are those of all values."""


Ends = tuple[NDArray[np.float32], NDArray[np.float32]]
"""The smallest and the largest value of each image, both [n]."""


@dataclass
class Histogram:
    """Counts of values, int64 [2 * BINS]: bin i holds those in [(i - BINS) * width, (i - BINS + 1) * width).

    `width` is the smallest power of two at which the largest magnitude so far has a bin. It depends only on
    that magnitude, and two adjacent bins merge into one of twice the width. So the counts depend neither on
    the order of values nor on how they were split between histograms. Exact zeros, which every grid
    represents exactly, are counted separately.
    """

    low: float = 0.0
    high: float = 0.0
    zeros: int = 0
    width: float = 0.0
    counts: NDArray[Any] = field(default_factory=lambda: np.zeros(2 * BINS, np.int64))

    def update(
        self,
        values: NDArray[np.float32],
        weights: NDArray[np.float64] | None = None,
        ends: Ends | None = None,
    ) -> None:
        """Count the values [n, ...] of n images; all are finite.

        With `weights` of the same shape each counts as much as its weight; `counts` has to be float64 then.
        `ends` are their `image_ends`, for a caller that has them.
        """
        lows, highs = ends or image_ends(values)
        self.low = min(self.low, float(lows.min(initial=0)))
        self.high = max(self.high, float(highs.max(initial=0)))
        flat = values.reshape(len(values), -1)
        every = (flat.shape[1] - 1) // VALUES_AN_IMAGE * 2 + 1
        sample = flat[:, ::every].ravel()
        nonzero = sample[sample != 0]
        self.zeros += sample.size - nonzero.size
        if nonzero.size:
            self._widen(width_for(float(np.abs(nonzero).max())))
            index = np.floor(nonzero * np.float32(1 / self.width)).astype(np.intp)
            if weights is not None:
                weights = weights.reshape(len(values), -1)[:, ::every].ravel()[sample != 0]
            self.counts += np.bincount(index + BINS, weights, minlength=2 * BINS)

    def merge(self, other: Self) -> None:
        """Add the counts of `other`."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.zeros += other.zeros
        if other.width:
            self._widen(other.width)
            self.counts += _widened(other.counts, other.width, self.width)

    def nonzero(self) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """The centres of the bins that are not empty, and their counts."""
        filled = np.flatnonzero(self.counts)
        centres = ((filled - BINS + 0.5) * self.width).astype(np.float64)
        return centres, self.counts[filled]

    def _widen(self, width: float) -> None:
        if width > self.width:
            self.counts = _widened(self.counts, self.width, width) if self.width else self.counts
            self.width = width


def image_ends(values: NDArray[np.float32]) -> Ends:
    """Return the smallest and the largest value of each image of values [n, ...]."""
    if not values.size:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    flat = values.reshape(len(values), -1)
    return flat.min(axis=1), flat.max(axis=1)


def width_for(magnitude: float) -> float:
    """The smallest power of two w with magnitude < BINS * w, that float32 can still divide by."""
    _, exponent = np.frexp(magnitude)
    return float(np.ldexp(1.0, max(int(exponent) - int(np.log2(BINS)), -126)))


def _widened(counts: NDArray[Any], width: float, wanted: float) -> NDArray[Any]:
    while width < wanted:
        pairs = counts.reshape(-1, 2).sum(axis=1)
        counts = np.zeros_like(counts)
        counts[BINS // 2 : BINS // 2 + BINS] = pairs
        width *= 2
    return counts
