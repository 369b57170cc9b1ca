"""How far the extremes of a tensor are expected to move with more images than were seen.

An image's largest value is the largest of many, so over images it is distributed nearly as Gumbel's extreme
values. The largest of N images is expected to grow by b ln(N / n) from that of n images. The method of
moments gives the scale b = s sqrt(6) / pi from the images' standard deviation s.
Gumbel, "Statistics of Extremes" (1958), chapters 5 and 6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import log, pi, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from calibration.histogram import Ends

ENOUGH = 512
"""The number of images whose extremes a range stands for. Ranges from so many or more stay as they are."""
SCALE = sqrt(6) / pi
"""The scale b of Gumbel's distribution, for a standard deviation of 1."""


@dataclass
class _Ends:
    """The sums of the images' ends and of their squares, exact, and the farthest one; all magnitudes."""

    farthest: float = 0.0
    total: Fraction = field(default_factory=Fraction)
    squares: Fraction = field(default_factory=Fraction)

    def add(self, ends: NDArray[np.float32]) -> None:
        exact = [Fraction(end) for end in np.maximum(ends, 0).tolist()]
        self.farthest = max([self.farthest, *map(float, exact)])
        self.total += sum(exact, Fraction())
        self.squares += sum((end * end for end in exact), Fraction())

    def merge(self, other: Self) -> None:
        self.farthest = max(self.farthest, other.farthest)
        self.total += other.total
        self.squares += other.squares

    def written(self) -> list[float | str]:
        return [self.farthest, str(self.total), str(self.squares)]

    @classmethod
    def read(cls, held: Sequence[Any]) -> Self:
        return cls(held[0], Fraction(held[1]), Fraction(held[2]))

    def deviation(self, images: int) -> float:
        return sqrt((self.squares - self.total**2 / images) / (images - 1))

    def moved(self, images: int, end: float) -> float:
        if not self.farthest or not 1 < images < ENOUGH:
            return end
        growth = SCALE * self.deviation(images) * log(ENOUGH / images)
        return end + growth * (end / self.farthest) ** 2


@dataclass
class ImageExtremes:
    """Each image's smallest and largest value, as sums that can be streamed and merged exactly."""

    images: int = 0
    low: _Ends = field(default_factory=_Ends)
    high: _Ends = field(default_factory=_Ends)

    def update(self, ends: Ends) -> None:
        """Take in a tensor's smallest and largest value of each of n images."""
        lows, highs = ends
        self.images += len(lows)
        self.low.add(-lows)
        self.high.add(highs)

    def merge(self, other: Self) -> None:
        """Take in all that `other` has seen."""
        self.images += other.images
        self.low.merge(other.low)
        self.high.merge(other.high)

    def written(self) -> dict[str, Any]:
        """All of it for a JSON file, which gives every float and fraction back exactly."""
        return {"images": self.images, "low": self.low.written(), "high": self.high.written()}

    @classmethod
    def read(cls, held: Mapping[str, Any]) -> Self:
        """What `written` gave."""
        return cls(held["images"], _Ends.read(held["low"]), _Ends.read(held["high"]))

    def means(self) -> tuple[float, float]:
        """The mean smallest and the mean largest value of an image; [0, 0] before the first."""
        images = max(1, self.images)
        return float(-self.low.total / images), float(self.high.total / images)

    def stretched(self, low: float, high: float) -> tuple[float, float]:
        """The ends of a range, moved by what the extremes are expected to grow until ENOUGH images.

        An end that was cut moves less: values beyond it were seen, and found not to matter. One image says
        nothing of how images differ: its range stays as it is.
        """
        return -self.low.moved(self.images, -low), self.high.moved(self.images, high)
