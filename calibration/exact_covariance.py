"""The covariance of rows of integers, from exact sums of their products.

NumPy and BLAS add floats in an order of their own. As long as every partial sum is an integer that the float
type represents, all orders give the same sum: below 2^24 in float32, where matrices multiply fastest, and
below 2^53 in float64. No partial sum of products of two columns is larger than the larger one of the sums of
their squares. Those are small around the columns' means, which are rounded and subtracted first.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT_IN_FLOAT32 = 1 << 24
EXACT_IN_FLOAT64 = 1 << 53
AT_ONCE = 2048
"""The most rows that are multiplied at once."""


def exact_covariance(rows: NDArray[np.int8] | NDArray[np.int16]) -> NDArray[np.float32]:
    """float32 [G, D, D] of each of G groups of columns, given rows [n, G, D] with n <= 2^15.

    Each covariance is rounded to float32 once, from exact integers. All n rows count 1 / n.
    """
    count, groups, width = rows.shape
    sums = rows.sum(axis=0, dtype=np.int64)
    around = np.rint(sums / count).astype(np.int16)
    rest = (sums - count * around.astype(np.int64)) / count
    covariance = np.empty((groups, width, width), np.float32)
    products = [_products(rows[:, 0], around[0])] if groups == 1 else _products_of_groups(rows, around)
    for found, summed, mean in zip(covariance, products, rest, strict=True):
        for i in range(width):
            found[i, : i + 1] = found[: i + 1, i] = summed[i, : i + 1] / count - mean[i] * mean[: i + 1]
    return covariance


def _products(rows: NDArray[np.int8] | NDArray[np.int16], around: NDArray[np.int16]) -> NDArray[Any]:
    """[D, D]: the products of columns of rows [n, D], summed; anything above the diagonal.

    BLAS adds to a sum of floats as long as that is exact; then it is set aside in int32.
    """
    from scipy.linalg.blas import dsyrk, ssyrk

    narrow = rows.dtype == np.int8
    dtype, limit = (np.float32, EXACT_IN_FLOAT32) if narrow else (np.float64, EXACT_IN_FLOAT64)
    largest = max(int(rows.max()) - int(around.min()), int(around.max()) - int(rows.min()), 1)
    at_once = min(AT_ONCE, limit // largest**2)
    width = rows.shape[1]
    total: NDArray[np.int32] | None = None
    part, squares = np.zeros((width, width), dtype, order="F"), np.zeros(width)
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once].astype(dtype) - around.astype(dtype)
        more = np.square(some).sum(axis=0, dtype=np.float64)
        if (squares + more).max() >= limit:
            total = part.astype(np.int32) if total is None else total + part.astype(np.int32)
            part[:], squares[:] = 0, 0
        squares += more
        part = (ssyrk if narrow else dsyrk)(1.0, some.T, beta=1.0, c=part, overwrite_c=1)
    return part.T if total is None else (total + part.astype(np.int32)).T


def _products_of_groups(
    rows: NDArray[np.int8] | NDArray[np.int16], around: NDArray[np.int16]
) -> NDArray[np.float64]:
    """float64 [G, D, D]: the products of the columns of each group, summed."""
    total = np.zeros((*around.shape, around.shape[1]))
    at_once = max(1, AT_ONCE // len(around))
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once].astype(np.float64) - around
        by_group = some.transpose(1, 0, 2)
        total += by_group.transpose(0, 2, 1) @ by_group
    return total
