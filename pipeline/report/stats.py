"""Confidence intervals and tests for paired images: the statistics an accuracy gate stands on.

The same images go through FP32 and INT8, so an image counts only when exactly one of the two is right.
Throughout, `worse` is the number of images right before and wrong after, `better` the reverse, `images` all.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from pipeline.report.model.certainty import Interval
from targets.runtime.paired_difference import (
    LEVEL,
    crossing,
    difference_bounds,
    normal_quantile,
)


def wilson_interval(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval for a proportion (Wilson 1927; Newcombe 1998a, method 3)."""
    z2 = normal_quantile(level) ** 2
    centre = (successes + z2 / 2) / (trials + z2)
    half = math.sqrt(z2 * (successes * (trials - successes) / trials + z2 / 4)) / (trials + z2)
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half), level=level)


def wilson_score(successes: float, trials: float, share: float) -> float:
    """Return the score statistic of the hypothesis that a proportion is `share`, in (0, 1).

    The statistic falls as `share` rises. Wilson's interval holds the shares where it stays within the normal
    quantile. Counts may be fractions.
    """
    return (successes - trials * share) / math.sqrt(trials * share * (1 - share))


def difference_interval(worse: int, better: int, images: int, level: float = LEVEL) -> Interval:
    """Return Tango's score interval for the drop in the share of right answers, in (-1, 1)."""
    low, high = difference_bounds(worse, better, images, level)
    return Interval(low=low, high=high, level=level)


def ratio_score(worse: float, better: float, both: float, images: float, ratio: float) -> float:
    """Return the score statistic of the hypothesis that (right after) / (right before) is `ratio` > 0.

    Standard normal under the hypothesis, falling in `ratio`. `both` counts the images right both times.
    Nam & Blackwelder 2002, Statistics in Medicine 21:689, and Tang, Tang & Chan 2003, Statistics in Medicine
    22:1217: the nuisance parameter is at its constrained maximum likelihood.
    """
    before, after = (both + worse) / images, (both + better) / images
    root = math.sqrt((after - ratio**2 * before) ** 2 + 4 * ratio**2 * (better / images) * (worse / images))
    chance_better = (ratio**2 * (before + 2 * better / images) - after + root) / (2 * ratio * (ratio + 1))
    neither = (images - both - worse - better) / images
    chance_worse = ratio * chance_better - (ratio - 1) * (1 - neither)
    variance = ratio * (chance_better + chance_worse) / images
    distance = after - ratio * before
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def ratio_interval(worse: int, better: int, both: int, images: int, level: float = LEVEL) -> Interval:
    """Return the score interval for the paired ratio (right after) / (right before).

    Unbounded above when nothing was right before.
    """
    z = normal_quantile(level)

    def falling(shift: float) -> Callable[[float], float]:
        return lambda ratio: ratio_score(worse, better, both, images, ratio) + shift

    ceiling = 1e6
    low = crossing(falling(-z), 1e-9, ceiling)
    high = crossing(falling(z), 1e-9, ceiling)
    return Interval(low=low, high=None if both + worse == 0 else high, level=level)


def bootstrap_interval(
    worse: int, better: int, images: int, level: float = LEVEL, resamples: int = 20_000, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval for the drop, resampling images, in [-1, 1].

    A cross-check, not what gates use: with no discordant image it has no width. Resampling images with
    replacement draws the counts from a multinomial (Efron & Tibshirani 1993, chapter 13).
    """
    shares = np.array([worse, better, images - worse - better]) / images
    draws = np.random.default_rng(seed).multinomial(images, shares, size=resamples)
    drops = (draws[:, 0] - draws[:, 1]) / images
    low, high = np.quantile(drops, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level)


def mcnemar_exact(worse: int, better: int) -> float:
    """Return the exact two-sided p-value of no difference (McNemar's test in its binomial form)."""
    if worse + better == 0:
        return 1.0
    from scipy.stats import binom  # takes longer to import than a cached build may take

    return min(1.0, 2 * float(binom.cdf(min(worse, better), worse + better, 0.5)))


def mean_interval(changes: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Return an interval for the mean of changes [N] between -2 and 2, one an image.

    Wald's after adding an image that changed by +1 and one by -1. For changes of -1, 0 and 1 that is the
    adjusted interval for paired proportions of Bonett & Price 2012 (JEBS 37:479), which keeps its coverage
    with few or no changes; here it is used for differences of differences and their means, where images that
    change much are rare and may be missing from the sample.
    """
    total = len(changes) + 2
    mean = float(changes.sum()) / total
    square = (float(np.square(changes).sum()) + 2) / total
    half = normal_quantile(level) * math.sqrt((square - mean**2) / total)
    return Interval(low=mean - half, high=mean + half, level=level)


def mean_score(mean: float, spread: float, images: float, limit: float) -> float:
    """Return how many standard errors a mean change lies above the limit, adjusted as in `mean_interval`.

    All in percentage points; `spread` is the standard deviation of the change of an image.
    """
    total = images + 2
    centre = mean * images / total
    square = ((spread**2 + mean**2) * images + 2 * 100**2) / total
    return (centre - limit) / math.sqrt((square - centre**2) / total)


def sign_flip_exact(changes: NDArray[np.int64]) -> float:
    """Return the exact two-sided p-value of whole-numbered changes [N] that are symmetric about zero.

    The permutation test for pairs (Fisher 1935, section 21): every change could as well have had the other
    sign. With changes in {-1, 0, 1} it is McNemar's exact test.
    """
    sizes = np.abs(changes[changes != 0])
    reach = int(sizes.sum())
    chances = np.zeros(2 * reach + 1)  # of every sum from -reach to reach
    chances[reach] = 1.0
    for size in sizes.tolist():
        chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2  # no sum wraps around
    sums = np.arange(-reach, reach + 1)
    return min(1.0, float(chances[np.abs(sums) >= abs(int(changes.sum()))].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for being many (Holm 1979), in the order given.

    The probability that any hypothesis is rejected wrongly at a level is at most that level, whatever their
    dependence.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def images_to_decide(
    score_at_limit: Callable[[float], float], images: int, level: float = LEVEL, power: float = 0.8
) -> int | None:
    """Return how many images exclude a limit with probability `power`, if the observed rates are true.

    `score_at_limit(factor)` is the score statistic at the limit with all counts multiplied by `factor`. None:
    the observed value lies so close to the limit that not even a million times the images would do.
    """
    needed = normal_quantile(level) + NormalDist().inv_cdf(power)
    left, right = 1.0, 1e6
    if abs(score_at_limit(right)) < needed:
        return None
    for _ in range(100):
        middle = math.sqrt(left * right)
        left, right = (left, middle) if abs(score_at_limit(middle)) >= needed else (middle, right)
    return math.ceil(images * right)
