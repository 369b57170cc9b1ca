"""The integer grids: from a range or from weights to scale, zero point and integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.scheme import Scheme

WEIGHT_LIMIT = 127
"""Weights are integers in [-127, 127], so that their negatives exist."""
WIDE_OPSET = 21
"""The first opset whose QuantizeLinear gives uint16."""
SPARE = 2.0
"""How much more than a range of 8 bits one of 16 covers."""
INT32_BIAS_LIMIT = 2.0**30
"""Half of int32: an engine adds the bias, rounded at the scale of the products, to their sum."""


@dataclass(frozen=True)
class ActivationGrid:
    """Real value = (q - zero_point) * scale, q in [low, high]: of 8 bits, or uint16."""

    scale: np.float32
    zero_point: np.int8 | np.uint8 | np.uint16

    @property
    def low(self) -> int:
        """The smallest integer: 0 of an unsigned type, -128 of int8."""
        return int(np.iinfo(self.zero_point.dtype).min)

    @property
    def high(self) -> int:
        """The largest integer."""
        return int(np.iinfo(self.zero_point.dtype).max)

    @property
    def is_wide(self) -> bool:
        """Whether it has 16 bits."""
        return self.zero_point.dtype.itemsize > 1

    def widened(self) -> "ActivationGrid":
        """The grid of 16 bits for the range that this one of uint8 covers, as `wide_grid` makes it.

        Its scale is 2 / 257 of this one's, so that no number of 16 bits lies half way between two of 8.
        """
        low, high = ((end - int(self.zero_point)) * float(self.scale) for end in (self.low, self.high))
        return wide_grid(low, high)

    def quantize(self, x: NDArray[np.float32]) -> NDArray[np.int32]:
        """ONNX QuantizeLinear: saturate(round_half_even(x / scale) + zero_point)."""
        q = np.rint(x / self.scale) + np.float32(self.zero_point)
        clipped: NDArray[np.int32] = np.clip(q, self.low, self.high).astype(np.int32)
        return clipped

    def dequantize(self, q: NDArray[np.int32]) -> NDArray[np.float32]:
        """ONNX DequantizeLinear: (q - zero_point) * scale."""
        return (q - np.int32(self.zero_point)).astype(np.float32) * self.scale


def activation_grid(low: float, high: float, scheme: Scheme) -> ActivationGrid:
    """The grid for values in [low, high], widened to contain 0 so that zero padding and ReLU are exact.

    w8a8_sym: scale = max(|low|, |high|) / 127, zero point 0. w8a8_asym: scale = (high - low) / 255, zero
    point round(-low / scale). A tensor that is always 0 gets scale 1.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if scheme is Scheme.SYM:
        return ActivationGrid(_scale(max(-low, high) / 127), np.int8(0))
    scale = _scale((high - low) / 255)
    return ActivationGrid(scale, np.uint8(np.clip(np.rint(-low / float(scale)), 0, 255)))


def wide_grid(low: float, high: float) -> ActivationGrid:
    """As `activation_grid` under w8a8_asym, in 16 bits: scale = SPARE * (high - low) / 65535.

    A range found for 8 bits leaves out rare large values, for which 16 bits have room: the grid covers
    SPARE times the range.
    """
    low, high = SPARE * min(low, 0.0), SPARE * max(high, 0.0)
    scale = _scale((high - low) / 65535)
    return ActivationGrid(scale, np.uint16(np.clip(np.rint(-low / float(scale)), 0, 65535)))


def _scale(value: float) -> np.float32:
    return np.float32(max(value, float(np.finfo(np.float32).tiny))) if value > 0 else np.float32(1)


@dataclass(frozen=True)
class QuantizedWeight:
    """int8 weights in [-127, 127], output channel first, and one float32 scale a channel."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]

    def dequantize(self) -> NDArray[np.float32]:
        """The weights an engine computes with."""
        shape = (-1,) + (1,) * (self.values.ndim - 1)
        return self.values.astype(np.float32) * self.scales.reshape(shape)


def max_scales(weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 [K]: max |w| / 127 for each output channel (axis 0)."""
    scales: NDArray[np.float64] = (
        np.abs(weight).reshape(weight.shape[0], -1).max(axis=1).astype(np.float64) / WEIGHT_LIMIT
    )
    return scales


def weight_scales(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    input_scale: float,
    wanted: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """float32 [K]: `wanted` scales (default: `max_scales`), raised where a channel needs it.

    A channel without any weight takes the largest scale of the layer. A channel so small that its bias,
    rounded at input_scale * scale, would leave half of int32 takes the scale at which it just fits.
    """
    scales = max_scales(weight) if wanted is None else wanted
    largest = scales.max() if scales.max() > 0 else 1.0
    floor = np.abs(bias).astype(np.float64) / (input_scale * INT32_BIAS_LIMIT)
    raised = np.maximum(np.where(scales > 0, scales, largest), floor)
    return np.maximum(raised, float(np.finfo(np.float32).tiny)).astype(np.float32)


def round_weight(weight: NDArray[np.float32], scales: NDArray[np.float32]) -> QuantizedWeight:
    """Round to nearest (half to even) at the given scales, output channel first."""
    shape = (-1,) + (1,) * (weight.ndim - 1)
    return QuantizedWeight(nearest_weights(weight / scales.reshape(shape)).astype(np.int8), scales)


def nearest_weights(steps: NDArray[Any]) -> NDArray[Any]:
    """Weights in steps of their scale, rounded half to even and saturated, in the float type they came in."""
    integers: NDArray[Any] = np.clip(np.rint(steps), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    return integers
