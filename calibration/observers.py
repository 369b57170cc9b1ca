"""Observers: what is remembered of a tensor's values, image after image, and the range that follows from it.

All stream: memory does not grow with the images. All merge: observers fed with parts, merged, equal one fed
with the whole.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe


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
        """The range for what was seen."""
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


def make_observer(recipe: QuantRecipe) -> Observer:  # noqa: ARG001 -- one observer so far
    """The observer that a recipe names, having seen nothing."""
    return MinMax()
