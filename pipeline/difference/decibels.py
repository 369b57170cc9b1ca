"""How far two arrays agree, as a ratio of signal to difference in dB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MOST_DB = 200.0
"""What equal arrays have."""
ARITHMETIC_DB = 70.0
"""The least that the rounding of float32 sums in another order leaves."""


def ratio_db(reference: Array, found: Array) -> float:
    """Return 10 log10(sum reference^2 / sum (reference - found)^2), where the reference is finite.

    Where `found` alone is not finite they do not agree at all: -MOST_DB.
    """
    a, b = reference.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    there = np.isfinite(a)
    a, b = a[there], b[there]
    if not np.isfinite(b).all():
        return -MOST_DB
    noise = float(((a - b) ** 2).sum())
    if noise == 0:
        return MOST_DB
    signal = float((a**2).sum())
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -MOST_DB, MOST_DB))


def by_channel(values: Array) -> Array:
    """Return values as float64 [channels, everything else]; the channel is the second dimension."""
    wide = values.astype(np.float64)
    if wide.ndim < 2:
        return wide.reshape(1, -1)
    return np.moveaxis(wide, 1, 0).reshape(wide.shape[1], -1)


def all_finite(values: Array) -> bool:
    """Whether every value is finite."""
    return bool(np.isfinite(values).all())
