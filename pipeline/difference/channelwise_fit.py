"""Fits one array to another channel by channel: gains and shifts, or another order of channels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.difference.decibels import by_channel, ratio_db

Array = NDArray[Any]
MOST_CHANNELS = 4096
"""More are not put into another order: the assignment takes cubic time."""


@dataclass(frozen=True)
class ChannelAffine:
    """found * gain + shift = expected; float64, one value a channel."""

    gain: Array
    shift: Array

    def applied(self, values: Array) -> Array:
        """Return values [N, C, ...] with gain and shift."""
        return values * self._wide(self.gain, values) + self._wide(self.shift, values)

    def undone(self, values: Array) -> Array:
        """Return values [N, C, ...] with gain and shift removed, in float32."""
        return ((values - self._wide(self.shift, values)) / self._wide(self.gain, values)).astype(np.float32)

    @staticmethod
    def _wide(numbers: Array, values: Array) -> Array:
        return numbers.reshape(1, -1, *([1] * (values.ndim - 2)))


def fit_affine(found: Array, expected: Array) -> ChannelAffine | None:
    """Return the least-squares gain and shift of each channel; a channel that does not vary has a gain of 1.

    None if shapes differ or a gain is not above 0.
    """
    if found.shape != expected.shape or found.ndim < 2:
        return None
    x, y = by_channel(found), by_channel(expected)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    mean_x, mean_y = x.mean(1), y.mean(1)
    centred = x - mean_x[:, None]
    power = (centred**2).mean(1)
    varies = power > 1e-12 * max(1e-30, float((x**2).mean()))
    gain = np.ones(len(x))
    gain[varies] = ((centred * y).mean(1))[varies] / power[varies]
    gain[varies & (abs(gain) < 1e-6)] = 1.0  # dead in the other network: no gain to tell
    if (gain <= 0).any():
        return None
    return ChannelAffine(gain, mean_y - gain * mean_x)


@dataclass(frozen=True)
class ChannelOrder:
    """Another order of channels, and how far two arrays agree in it."""

    order: Array
    agreement_db: float

    @property
    def moved(self) -> int:
        """Return how many channels have another index."""
        return int((self.order != np.arange(len(self.order))).sum())


def channel_order(found: Array, expected: Array) -> ChannelOrder | None:
    """Return the order of `found`'s channels that correlates most with `expected`'s; None if it is the same.

    An assignment problem (Kuhn 1955).
    """
    from scipy.optimize import linear_sum_assignment

    if found.shape != expected.shape or found.ndim < 2 or not 2 <= found.shape[1] <= MOST_CHANNELS:
        return None
    x, y = (_standardised(by_channel(one)) for one in (found, expected))
    similar = np.nan_to_num(y @ x.T)
    order: Array = linear_sum_assignment(similar, maximize=True)[1]
    if (order == np.arange(len(order))).all():
        return None
    return ChannelOrder(order, ratio_db(expected, np.take(found, order, axis=1)))


def _standardised(values: Array) -> Array:
    every = values[:, :: max(1, values.shape[1] // 8192)]
    centred = every - every.mean(1, keepdims=True)
    scale = np.sqrt((centred**2).sum(1, keepdims=True))
    standardised: Array = centred / np.where(scale > 0, scale, 1)
    return standardised
