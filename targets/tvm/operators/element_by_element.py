"""Operators that go over tensors number by number: their arithmetic, and the kernels that engines have."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from targets.tvm.kernels.strides import Strides
from targets.tvm.operators.kernel_call import KernelCall, StoredTensors, result_range
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

    def call(self, memory: StoredTensors) -> KernelCall:
        """Its kernel reads the addends."""
        from targets.tvm.kernels.two_operands import AddKernel

        other, output = self.residual.tensor, self.output
        largest = float(self.input.highest) * self.multiplier + other.highest * abs(self.residual.multiplier)
        kernel = AddKernel(
            isa=memory.isa,
            height=output.height,
            width=output.width,
            channels=memory.channels(output),
            x=memory.strides(self.input),
            r=_joined(other, output, memory),
            one_channel=other.channels != output.channels,
            y=memory.strides(output),
            limits=result_range(largest, output, self.clip),
        )
        return KernelCall(kernel, self.multiplier, self.clip, self.residual)


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

    def call(self, memory: StoredTensors) -> KernelCall:
        """Its kernel reads the factors."""
        from targets.tvm.kernels.two_operands import MultiplyKernel

        factor, output = self.factor, self.output
        largest = float(self.input.highest) * factor.highest * self.multiplier
        kernel = MultiplyKernel(
            isa=memory.isa,
            height=output.height,
            width=output.width,
            channels=memory.channels(output),
            x=memory.strides(self.input),
            r=_joined(factor, output, memory),
            one_channel=factor.channels != output.channels,
            y=memory.strides(output),
            limits=result_range(largest, output, self.clip),
        )
        return KernelCall(kernel, self.multiplier, self.clip, Residual(factor, 1.0))


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

    def call(self, memory: StoredTensors) -> KernelCall:
        """Its kernel reads the slopes, as many as the stored map has channels."""
        from targets.tvm.kernels.rectify import RectifyKernel

        channels, output = memory.channels(self.output), self.output
        largest = 255.0 * max(self.multiplier, float(np.abs(self.slopes).max()))
        kernel = RectifyKernel(
            isa=memory.isa,
            height=output.height,
            width=output.width,
            channels=channels,
            x=memory.strides(self.input),
            y=memory.strides(output),
            limits=result_range(largest, output, self.clip),
        )
        slopes = np.pad(self.slopes, (0, channels - len(self.slopes)))
        return KernelCall(kernel, self.multiplier, self.clip, constants=slopes)


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

    def call(self, memory: StoredTensors) -> KernelCall:
        """Its kernel reads the table, arranged as the instruction set looks numbers up."""
        from targets.tvm.kernels.lookup import LookupKernel

        output, stored_as = self.output, memory.channels(self.input)
        kernel = LookupKernel(
            isa=memory.isa,
            height=output.height,
            width=output.width,
            channels=stored_as if stored_as == memory.channels(output) else output.channels,
            x=memory.strides(self.input),
            y=memory.strides(output),
        )
        return KernelCall(kernel, constants=kernel.arranged(self.table))


def _joined(other: Tensor, output: Tensor, memory: StoredTensors) -> Strides:
    """How to go over what all values are joined to: one pixel stays where it is."""
    one_pixel = (other.height, other.width) != (output.height, output.width)
    strides = memory.strides(other)
    return replace(strides, row=0, pixel=0) if one_pixel else strides


Pointwise = Add | Multiply | Rectify | Lookup
