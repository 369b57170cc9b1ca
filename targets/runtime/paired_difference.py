"""Tango's score interval for a difference of paired proportions, on the device as in the report.

Two networks see the same images, so an image counts only when exactly one of the two is right. `worse` is the
number of images right before and wrong after, `better` the reverse, `images` all.
Source: Tango 1998, Statistics in Medicine 17:891.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Callable

LEVEL = 0.95


def normal_quantile(level: float) -> float:
    """Return z such that a standard normal lies in [-z, z] with probability `level`."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def difference_score(worse: float, better: float, images: float, difference: float) -> float:
    """Return Tango's score statistic of the hypothesis that the drop is `difference`, in (-1, 1).

    Standard normal under the hypothesis, falling in `difference`; at 0 the root of McNemar's chi-square.
    Counts may be fractions. The denominator is the standard error
    with the nuisance parameter (the probability of `better`) at its constrained maximum likelihood.
    """
    a = 2 * images
    b = (2 * images - worse + better) * difference - worse - better
    c = -better * difference * (1 - difference)
    chance_better = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = images * (2 * chance_better + difference * (1 - difference))
    distance = worse - better - images * difference
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def difference_bounds(
    worse: float, better: float, images: float, level: float = LEVEL
) -> tuple[float, float]:
    """Return Tango's interval for the drop in the share of right answers, in (-1, 1).

    Keeps its coverage with few or no discordant images, where Wald's and the bootstrap's collapse to a point.
    Counts may be fractions.
    """
    z = normal_quantile(level)
    estimate = (worse - better) / images

    def score(difference: float) -> float:
        return difference_score(worse, better, images, difference)

    low = crossing(lambda d: score(d) - z, -1.0, estimate)
    return low, crossing(lambda d: score(d) + z, estimate, 1.0)


def crossing(falling: Callable[[float], float], left: float, right: float) -> float:
    """Return where a falling function changes sign, by bisection; the end it is nearer to if it does not."""
    for _ in range(100):
        middle = (left + right) / 2
        left, right = (middle, right) if falling(middle) > 0 else (left, middle)
    return (left + right) / 2
