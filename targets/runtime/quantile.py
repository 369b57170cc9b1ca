"""Quantiles of latency with intervals that assume no distribution and survive autocorrelation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

LEVEL = 0.95


class QuantileEstimate(NamedTuple):
    """A quantile and its interval, in the unit of the observations."""

    value: float
    low: float  # 0 if there are too few observations for a lower bound
    high: float | None  # None: too few observations for an upper bound
    effective_size: float  # the number of independent observations with the same information


def quantile(observations: NDArray[Any], probability: float, level: float = LEVEL) -> QuantileEstimate:
    """Estimate a quantile of positive `observations` [n], given in the order they were made, n >= 1.

    The interval lies between two order statistics: the number of observations below the true quantile is
    binomial whatever the distribution (David & Nagaraja 2003, Order Statistics, 7.1). Autocorrelation, which
    slow phases of a machine cause, is paid for with the ranks of fewer, independent observations.
    """
    ordered = np.sort(observations)
    n = len(ordered)
    value = float(np.quantile(ordered, probability))
    effective = effective_size(observations <= value)
    low, high = _ranks(max(1, math.floor(effective)), probability, level)
    low_rank, high_rank = math.floor(low * n), math.ceil(high * n)
    return QuantileEstimate(
        value=value,
        low=float(ordered[low_rank - 1]) if low_rank >= 1 else 0.0,
        high=float(ordered[high_rank - 1]) if high_rank <= n else None,
        effective_size=effective,
    )


def _ranks(n: int, probability: float, level: float) -> tuple[float, float]:
    """Return the ranks of the interval's ends among n observations as fractions of n; above 1 means none."""
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    log_chance = log_factorial[n] - log_factorial - log_factorial[::-1]
    log_chance += k * math.log(probability) + (n - k) * math.log1p(-probability)
    below = np.cumsum(np.exp(log_chance))  # P(at most k observations lie below the quantile)
    tail = (1 - level) / 2
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return low / n, high / n


def effective_size(marks: NDArray[np.bool_]) -> float:
    """Return how many independent marks say as much about their mean as these n in sequence; at most n.

    n / (1 + 2 * sum of autocorrelations), summed while pairs of neighbours stay positive and fall: the
    initial monotone sequence of Geyer 1992, Statistical Science 7:473, section 3.3.
    """
    n = len(marks)
    centred = marks - marks.mean()
    spectrum = np.fft.rfft(centred, 2 * n)
    covariance = np.fft.irfft(np.square(np.abs(spectrum)), 2 * n)[:n] / n
    if covariance[0] <= 0 or n < 4:
        return float(n)
    correlation = covariance / covariance[0]
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: ends[0] if len(ends) else len(pairs)])
    return float(n / max(1.0, 2 * pairs.sum() - 1))
