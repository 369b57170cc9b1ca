"""Exact sums of integers, so that no bit depends on their order or on how they were divided.

NumPy adds floats in an order of its own. As long as every partial sum is an integer that the float type
represents, all orders give the same sum: below 2^24 in float32, where matrices multiply fastest, and below
2^53 in float64.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

EXACT_IN_FLOAT32 = 1 << 24
EXACT_IN_FLOAT64 = 1 << 53
AT_ONCE = 1024
"""A block of rows of 8 bits that float32 multiplies exactly."""


class ExactProducts:
    """The sum over n of the outer products of rows [n, G, D] of integers with themselves.

    The integers fit int16, and none is larger than `reach` in magnitude. Rows wait until there are D of
    them, or AT_ONCE: what it takes to add a matrix [D, D] to the sum does not depend on the number of rows.
    They take at most half of the sum's memory.
    """

    def __init__(self, groups: int, width: int, reach: int) -> None:
        self.rows = 0
        self._reach = reach
        self._sum: NDArray[np.int32] | NDArray[np.int64] = np.zeros((groups, width, width), np.int32)
        self._waiting: list[NDArray[np.int16]] = []

    @property
    def total(self) -> NDArray[np.int32] | NDArray[np.int64]:
        """[G, D, D], in int32 where that is enough."""
        self._multiply()
        return self._sum

    def add(self, rows: NDArray[np.float32]) -> None:
        """Take in rows float32 [n, G, D]."""
        self._waiting.append(rows.astype(np.int16))
        if sum(map(len, self._waiting)) >= min(AT_ONCE, self._sum.shape[-1]):
            self._multiply()

    def merge(self, other: Self) -> None:
        """Take in all rows of `other`."""
        more = other.total
        self._multiply()
        self._make_room(other.rows)
        self._sum += more.astype(self._sum.dtype, copy=False)

    def _multiply(self) -> None:
        """Add the rows that wait, a block at a time that floats multiply exactly."""
        if not self._waiting:
            return
        rows, self._waiting = np.concatenate(self._waiting), []
        self._make_room(len(rows))
        fits = self._reach**2 <= EXACT_IN_FLOAT32 // 64  # else blocks would be too short to be fast
        dtype, limit = (np.float32, EXACT_IN_FLOAT32) if fits else (np.float64, EXACT_IN_FLOAT64)
        block = limit // self._reach**2
        for start in range(0, len(rows), block):
            part: NDArray[Any] = rows[start : start + block].astype(dtype)
            if len(self._sum) == 1:
                self._sum[0] += (part[:, 0].T @ part[:, 0]).astype(self._sum.dtype)
            else:
                by_group = part.transpose(1, 0, 2)
                self._sum += (by_group.transpose(0, 2, 1) @ by_group).astype(self._sum.dtype)

    def _make_room(self, rows: int) -> None:
        self.rows += rows
        if self.rows * self._reach**2 > np.iinfo(np.int32).max:
            self._sum = self._sum.astype(np.int64, copy=False)


def exact_sum(values: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    """float64: the sum of integers over an axis; the magnitudes add up to less than 2^53."""
    sums: NDArray[np.float64] = values.sum(axis=axis, dtype=np.float64)
    return sums
