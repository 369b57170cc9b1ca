"""Constants that are stored as integers: weights and biases behind a DequantizeLinear."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from calibration.onnx_graph import attribute

Array = NDArray[Any]
MOST_STEPS = 255
"""A weight of uint8 is at most so many steps from its zero point."""
NOTICED = 1e-3
"""In steps: float32 holds multiples of a step, and what rounds to them, much closer."""
TRIED = 64
"""About how many weights of a channel are tried before all of them."""


@dataclass(frozen=True, eq=False)
class StoredIntegers:
    """A constant that is integers * scales. The zero point is taken off; both have one shape."""

    integers: NDArray[np.int32]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, values: Array, scale: Array, zero: Array, axis: int) -> Self:
        """Read what DequantizeLinear does to `values`; scale and zero point: one, or one along `axis`."""
        shape = [1] * values.ndim
        if scale.size > 1:
            shape[axis] = scale.size
        scales, zeros = (
            np.broadcast_to(part.reshape(shape), values.shape) for part in (scale, _as(zero, scale))
        )
        return cls(values.astype(np.int32) - zeros.astype(np.int32), scales.astype(np.float32, copy=False))

    @property
    def value(self) -> NDArray[np.float32]:
        """The dequantised numbers."""
        return np.asarray(self.integers.astype(np.float32) * self.scales, np.float32)

    def moved(self, how: Callable[[Array], Array]) -> "StoredIntegers":
        """Return it after what moves values without looking at them."""
        return StoredIntegers(how(self.integers), how(self.scales))

    def by_first_axis(self) -> NDArray[np.float32] | None:
        """Return a scale for each place along the first axis; None where it varies along others too."""
        rows = self.scales.reshape(len(self.scales), -1)
        return rows[:, 0].copy() if (rows == rows[:, :1]).all() else None


def _as(zero: Array, scale: Array) -> Array:
    """Return a zero point for each scale."""
    return np.broadcast_to(zero.ravel(), scale.size)


def quantised(node: onnx.NodeProto, values: Array, scale: Array, zero: Array) -> Array:
    """Return what a QuantizeLinear makes of a constant: saturate(round_half_even(x / scale) + zero)."""
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[attribute(node, "axis", 1)] = scale.size
    limits = np.iinfo(zero.dtype)
    steps = np.rint(values.astype(np.float32) / scale.astype(np.float32).reshape(shape))
    shifted = steps + _as(zero, scale).astype(np.float32).reshape(shape)
    return np.asarray(np.clip(shifted, limits.min, limits.max).astype(zero.dtype))


def evaluated(node: onnx.NodeProto, values: dict[str, Array]) -> Array:
    """Return the one result of a node whose inputs are known."""
    (result,) = ReferenceEvaluator(node).run(None, values)
    return np.asarray(result)


def on_a_grid(values: Array, axis: int) -> StoredIntegers | None:
    """Return a float constant as integers, if each place along `axis` holds multiples of one step, few of it.

    A tool that trains with rounded weights may write their values and not their integers: tf2onnx computes
    what FakeQuant does to a constant.
    """
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    steps = np.array([_step(row) for row in rows])
    if not steps.all():
        return None
    shape = [1] * values.ndim
    shape[axis] = -1
    scales = steps.astype(np.float32).reshape(shape)
    integers = np.rint(values.astype(np.float64) / steps.reshape(shape)).astype(np.int32)
    return StoredIntegers(integers, np.broadcast_to(scales, values.shape))


def _step(row: Array) -> float:
    """Return the largest step that all values are multiples of, up to float32's rounding; 0 for none."""
    largest = float(np.abs(row).max())
    if not np.isfinite(largest):
        return 0.0
    if largest == 0:
        return 1.0
    shares = row / largest
    tried = shares[np.argsort(-np.abs(shares))[:: max(1, len(row) // TRIED)]]
    for most in range(1, MOST_STEPS + 1):
        if _are_whole(tried * most) and _are_whole(shares * most):
            return largest / most
    return 0.0


def _are_whole(values: Array) -> bool:
    return bool((np.abs(values - np.rint(values)) < NOTICED).all())
