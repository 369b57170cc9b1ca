"""Exact sums of integers, so that no bit depends on their order or on how they were divided.

NumPy adds floats in an order of its own. As long as every partial sum is an integer that the float type
represents, all orders give the same sum: below 2^24 in float32, where matrices multiply fastest, and below
2^53 in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT_IN_FLOAT32 = 1 << 24
EXACT_IN_FLOAT64 = 1 << 53


def add_products(
    found: NDArray[np.int32] | NDArray[np.int64], rows: NDArray[np.float32], reach: int
) -> None:
    """Add to `found` [G, D, D] the sum over n of the outer products of `rows` [n, G, D] with themselves.

    The rows are integers of at most `reach` in magnitude. `found` has room for all that is added to it.
    """
    fits = reach * reach <= EXACT_IN_FLOAT32 // 64  # else blocks would be too short to be fast
    dtype, limit = (np.float32, EXACT_IN_FLOAT32) if fits else (np.float64, EXACT_IN_FLOAT64)
    block = limit // (reach * reach)
    for start in range(0, len(rows), block):
        part: NDArray[Any] = rows[start : start + block].astype(dtype, copy=False)
        if len(found) == 1:
            found[0] += (part[:, 0].T @ part[:, 0]).astype(found.dtype)
        else:
            by_group = part.transpose(1, 0, 2)
            found += (by_group.transpose(0, 2, 1) @ by_group).astype(found.dtype)


def exact_sum(values: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    """float64: the sum of integers over an axis; the magnitudes add up to less than 2^53."""
    sums: NDArray[np.float64] = values.sum(axis=axis, dtype=np.float64)
    return sums
