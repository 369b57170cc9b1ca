"""Functions of a convolution's sum, before it is rounded: float32 steps that every processor computes alike.

A sum s is a float32 in real units. Each step below is one IEEE operation, rounded once; `fma` multiplies and
adds in one. Nothing depends on a library's exponential.

    gate of HARD_*:   clip(fma(s, 1/6, 1/2), 0, 1)
    sigmoid(s):       u = clip(s * -log2(e), -126, 126), n = rne(u), f = u - n,
                      p = polynomial(f) ~ 2^f by fma's, 1 / (1 + p * 2^n)

The polynomial is that of exp2f in Moshier's Cephes library. Then the result is (s * factor) * gate for
HARD_SWISH and SILU, and gate * factor for HARD_SIGMOID and SIGMOID: `factor`, one for each channel, turns it
into steps of the output's grid.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.register_functions import RegisterFunction
from targets.tvm.operators.results_on_grids import fused_multiply_add
from targets.tvm.tensors import Floats

SIXTH = float(np.float32(1 / 6))
MINUS_LOG2E = float(np.float32(-1.4426950408889634))
LARGEST_POWER = 126.0
EXP2 = tuple(
    float(np.float32(c))
    for c in (
        1.535336188319500e-4,
        1.339887440266574e-3,
        9.618437357674640e-3,
        5.550332471162809e-2,
        2.402264791363012e-1,
        6.931472028550421e-1,
        1.0,
    )
)
"""2^f for |f| <= 1/2, the coefficient of f^6 first."""


@dataclass(frozen=True, eq=False)
class Applied:
    """A function of sums, and the factors that turn its results into steps of the output: float32 [K]."""

    function: RegisterFunction
    factor: Floats

    def to(self, s: Floats) -> Floats:
        """Results in steps, for sums [..., K]."""
        return in_steps(self.function, s, self.factor)

    def largest(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest results, in steps, for sums of up to `sums`."""
        largest = sums if self.function.is_unbounded else np.ones_like(sums)
        found: NDArray[np.float64] = np.abs(self.factor) * largest
        return found


def in_steps(function: RegisterFunction, s: Floats, factor: Floats) -> Floats:
    """The function of sums [..., K] times `factor` [K], as this module says."""
    one = np.float32(1)
    if not function.has_exponential:
        gate = np.clip(fused_multiply_add(s, np.float32(SIXTH), np.full_like(s, 0.5)), np.float32(0), one)
    else:
        gate = one / (one + _power(s))
    result: Floats = (s * factor) * gate if function.is_unbounded else gate * factor
    return result


def _power(s: Floats) -> Floats:
    """exp(-s)."""
    limit = np.float32(LARGEST_POWER)
    u = np.clip(s * np.float32(MINUS_LOG2E), -limit, limit)
    whole = np.rint(u)
    part = u - whole
    value = np.full_like(part, EXP2[0])
    for coefficient in EXP2[1:]:
        value = fused_multiply_add(value, part, np.full_like(part, coefficient))
    result: Floats = value * np.ldexp(np.float32(1), whole.astype(np.int32)).astype(np.float32)
    return result
