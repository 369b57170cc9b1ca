"""From an exact sum to a stored number: `clip(rne(float32(acc) * m) + zy)`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.tvm.tensors import Array, Floats, Steps, Tensor


@dataclass(frozen=True)
class Clip:
    """The range of the stored result. ReLU is `low` at the zero point. The default is the range of uint8."""

    low: int = 0
    high: int = 255


UNCLIPPED = Clip()


@dataclass(frozen=True)
class Residual:
    """A second addend, on its own grid."""

    tensor: Tensor
    multiplier: float


def centred(tensor: Tensor, x: Steps) -> NDArray[np.int32]:
    """x - zx."""
    found: NDArray[np.int32] = x.astype(np.int32) - tensor.zero
    return found


def stored(value: Floats, output: Tensor, clip: Clip) -> Steps:
    """clip(rne(value) + zy), where rne rounds half to even."""
    steps = np.rint(value.astype(np.float64)) + output.zero
    found: Steps = np.clip(steps, clip.low, clip.high).astype(np.uint16 if output.wide else np.uint8)
    return found


def scaled(
    total: NDArray[np.int32],
    multiplier: Floats | np.float32,
    residual: Residual | None,
    values: Mapping[str, Array],
) -> Floats:
    """float32(acc) * m, or with a residual fma(float32(acc), m, float32(r - zr) * mr)."""
    sums = total.astype(np.float32)
    if residual is None:
        product: Floats = sums * multiplier
        return product
    addend = centred(residual.tensor, values[residual.tensor.name]).astype(np.float32)
    return fused_multiply_add(sums, multiplier, addend * np.float32(residual.multiplier))


def fused_multiply_add(a: Floats, b: Floats | np.float32, c: Floats) -> Floats:
    """a * b + c rounded once to float32.

    The product of two float32 is exact in float64. The sum is rounded to odd there (Boldo and Melquiond 2008,
    "Emulation of FMA and correctly rounded sums"), so that rounding it to float32 gives the same as
    rounding once.
    """
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    back = total - product
    error = (product - (total - back)) + (addend - back)
    bits = total.view(np.int64)
    inexact_and_even = (error != 0) & (bits & 1 == 0)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    result: Floats = (bits + np.where(inexact_and_even, towards, 0)).view(np.float64).astype(np.float32)
    return result
