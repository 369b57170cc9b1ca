"""Operators that go over tensors number by number."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, Residual, centred, scaled, stored
from targets.tvm.tensors import Array, Bytes, Floats, Steps, Tensor


@dataclass(frozen=True, eq=False)
class Add:
    """acc = x - zx, and a residual: of x's shape, one pixel for all of x's, or one channel for all."""

    node: str
    input: Tensor
    output: Tensor
    multiplier: float
    residual: Residual
    clip: Clip = UNCLIPPED

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The addends."""
        return (self.input, self.residual.tensor)

    def compute(self, values: Mapping[str, Array]) -> Steps:
        """A sum of one number, with its residual."""
        total = centred(self.input, values[self.input.name])
        return stored(
            scaled(total, np.float32(self.multiplier), self.residual, values), self.output, self.clip
        )


@dataclass(frozen=True, eq=False)
class Multiply:
    """float32(x - zx) * float32(r - zr), rounded to float32 where both are wide, else exact.

    The factor r is as a residual of Add.
    """

    node: str
    input: Tensor
    factor: Tensor
    output: Tensor
    multiplier: float
    clip: Clip = UNCLIPPED

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The factors."""
        return (self.input, self.factor)

    def compute(self, values: Mapping[str, Array]) -> Steps:
        """First one with the other, then with the multiplier."""
        x, factor = (
            centred(tensor, values[tensor.name]).astype(np.float32) for tensor in (self.input, self.factor)
        )
        return stored((x * factor) * np.float32(self.multiplier), self.output, self.clip)


@dataclass(frozen=True, eq=False)
class Rectify:
    """PRelu: acc = x - zx, and the multiplier is m where acc is 0 or above, else slope[k] of the channel."""

    node: str
    input: Tensor
    output: Tensor
    multiplier: float
    slopes: Floats
    clip: Clip = UNCLIPPED

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Steps:
        """Each number has one of two multipliers."""
        x = centred(self.input, values[self.input.name]).astype(np.float32)
        factors = np.where(x < 0, self.slopes, np.float32(self.multiplier))
        return stored(x * factors, self.output, self.clip)


@dataclass(frozen=True, eq=False)
class Lookup:
    """y = table[x], uint8 [256]: any function of one number, rounded when the engine is built."""

    node: str
    input: Tensor
    output: Tensor
    table: Bytes

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The map."""
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Bytes:
        """Look each number up."""
        found: Bytes = self.table[values[self.input.name]]
        return found


Pointwise = Add | Multiply | Rectify | Lookup
