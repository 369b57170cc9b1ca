"""The values of tensors in the Q/DQ graph: integers, a sum not yet rounded, weights, a constant."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.register_functions import RegisterFunction
from targets.errors import NoIntegerForm
from targets.tvm.integer_graph import Operator
from targets.tvm.operators.assembling import Affine, Assemble
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.resizing import Pick, PixelShuffle
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.sum_functions import Applied
from targets.tvm.operators.window_pooling import AveragePool, ChannelMax, MaxPool
from targets.tvm.tensors import Dense, Tensor


@dataclass(frozen=True, eq=False)
class Quantized:
    """Integers on a grid; `scale` is one real number (float64 exact from float32)."""

    tensor: Tensor
    scale: float
    stride: tuple[int, int] = (1, 1)
    """A strided slice of the tensor that nothing has copied yet."""
    flat: bool = False
    """Whether the ONNX value has the shape [N, C * H * W]."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels after slicing."""
        t, (sy, sx) = self.tensor, self.stride
        return -(-t.height // sy), -(-t.width // sx), t.channels

    def whole(self, reader: str) -> Tensor:
        """The tensor, if it is not a slice that would have to be copied first."""
        if self.stride != (1, 1):
            raise NoIntegerForm(f"{reader} reads a strided slice, and only Pad can.")
        return self.tensor


@dataclass(frozen=True, eq=False)
class Weights:
    """int8 weights with one scale an output channel."""

    values: NDArray[np.int8]
    scales: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Epilogue:
    """The operations between a sum and the grid of `output`, whose step is `scale`."""

    output: Tensor
    scale: float
    clip: Clip
    residual: Residual | None = None
    gain: NDArray[np.float64] | None = None
    """A real factor for each channel."""
    shift: NDArray[np.float64] | None = None
    """A real addend for each channel, after the factor."""
    applied: RegisterFunction | None = None
    """The function that is applied to the sum first."""

    def function(self, channels: int) -> Applied | None:
        """The function applied to sums of `channels` channels, with its factors."""
        if self.applied is None:
            return None
        gain = np.ones(channels) if self.gain is None else self.gain
        return Applied(self.applied, (gain / self.scale).astype(np.float32))

    def affine(self, scale: float, first: int, count: int) -> Affine | None:
        """Factor and addend of `count` channels from `first` on, for a tensor whose step is `scale`."""
        if self.gain is None or self.shift is None:
            return None
        part = slice(first, first + count)
        return Affine(
            (scale * self.gain[part] / self.scale).astype(np.float32),
            (self.shift[part] / self.scale).astype(np.float32),
        )


@dataclass(frozen=True, eq=False)
class Function:
    """A function of each stored value of `source`: float32 [256]."""

    source: Quantized
    values: NDArray[np.float32]


Finish = Callable[[Epilogue], Operator]


@dataclass(frozen=True, eq=False)
class Pending:
    """An exact int32 sum, or a function of one tensor, whose output grid the next QuantizeLinear decides."""

    node: str
    shape: tuple[int, int, int]
    finish: Finish
    fusable: bool = False
    """Whether a residual can still be added."""
    residual: Quantized | None = None
    low: float = -inf
    high: float = inf
    flat: bool = False
    real: Conv | AveragePool | None = None
    """The operator that writes the sum as float32 instead, where there is one."""
    scalable: bool = False
    """Whether channels can still be multiplied and added to."""
    gain: NDArray[np.float64] | None = None
    shift: NDArray[np.float64] | None = None
    function: Function | None = None
    """Its value for each value of one quantised tensor, if it is a function of one."""
    applied: RegisterFunction | None = None
    """The function of a convolution's sum that it is, in front of gain and bounds."""


@dataclass(frozen=True, eq=False)
class Raw:
    """Integers before a DequantizeLinear gives them a meaning: QuantizeLinear's output, or the image."""

    quantized: "Quantized | MovedValues | None"


@dataclass(frozen=True, eq=False)
class Constant:
    """A value known at build time."""

    value: NDArray[Any]


@dataclass(frozen=True, eq=False)
class MovedValues:
    """Values of `source` in another order that nothing has copied yet.

    `places` has the shape of the ONNX value: for each element its index in `source.tensor`, channels first.
    """

    source: Quantized
    places: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Real:
    """Numbers that a float island computes."""

    dense: Dense

    @property
    def is_map(self) -> bool:
        """Whether they have the shape of an activation: [N, C, H, W] or [N, C]."""
        return len(self.dense.shape) in (2, 4)


Value = Quantized | MovedValues | Weights | Pending | Raw | Constant | Real


@dataclass(frozen=True, eq=False)
class SameGrid:
    """A result on the grid of `source`, which needs no QuantizeLinear behind it.

    `finish` makes the operator that writes it, given the name of its output.
    """

    source: Quantized
    finish: Callable[[str], MaxPool | ChannelMax | Assemble | Pick | PixelShuffle]


Attributes = dict[str, Any]
Reader = Callable[[str, list[Value], Attributes], Value | SameGrid]
"""From the label of an ONNX node, what its inputs stand for and its attributes to what its output stands for.

Raises NoIntegerForm where the node has to run in float, EngineError where the graph makes no sense.
"""


def quantization_clip(pending: Pending, scale: float, output: Tensor) -> Clip:
    """Express a ReLU's or Clip's real bounds on the output grid. Exact, because rounding is monotone."""
    ends = (pending.low, 0), (pending.high, output.highest)
    low, high = (
        end if abs(bound) == inf else int(np.clip(np.rint(bound / scale) + output.zero, 0, output.highest))
        for bound, end in ends
    )
    return Clip(low, high)
