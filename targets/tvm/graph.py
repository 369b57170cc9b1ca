"""The integer graph: what the engine computes, with nothing left to interpretation.

Every activation is a uint8 on a per-tensor grid `real = scale * (q - zero_point)` (an int8 tensor of the Q/DQ
graph is stored 128 higher). The arithmetic of each operator is the numeric contract:

    acc = sum((x - zx) * w) + bias                                        int32, exact
    y   = clip(rne(float32(acc) * m) + zy)                                without residual
    y   = clip(rne(fma(float32(acc), m, float32(r - zr) * mr)) + zy)      with residual

where m and mr are float32, rne rounds half to even, and clip is to [low, high] in uint8. Logits leave as
float32(acc) * m.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int8s = NDArray[np.int8]
Int32s = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """An activation [height, width, channels] of uint8. `zero_point` is per channel only for the image."""

    name: str
    height: int
    width: int
    channels: int
    zero_point: tuple[int, ...]

    @property
    def zero(self) -> int:
        """The zero point of a per-tensor grid."""
        if len(self.zero_point) != 1:
            raise ValueError(f"{self.name} has a zero point per channel")
        return self.zero_point[0]


@dataclass(frozen=True)
class Window:
    """A sliding window: kernel size, stride, zero padding at the start, dilation; each (rows, columns)."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def reach(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the padded input that `height` x `width` outputs read."""
        (kh, kw), (sh, sw), (dh, dw) = self.kernel, self.stride, self.dilation
        return (height - 1) * sh + (kh - 1) * dh + 1, (width - 1) * sw + (kw - 1) * dw + 1


@dataclass(frozen=True)
class Clip:
    """The range of the stored result. ReLU is `low` at the zero point."""

    low: int = 0
    high: int = 255


@dataclass(frozen=True)
class Residual:
    """A second addend, on its own grid."""

    tensor: Tensor
    multiplier: float


@dataclass(frozen=True, eq=False)
class Image:
    """The input pixels."""

    output: Tensor


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution, also grouped, depthwise and fully connected. weight [K, C / groups, R, S]."""

    node: str
    input: Tensor
    output: Tensor
    weight: Int8s
    bias: Int32s
    multiplier: Floats
    window: Window
    groups: int = 1
    residual: Residual | None = None
    clip: Clip = Clip()
    logits: bool = False
    """The result is float32(acc) * m, the network's output."""


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Largest value in each window; padding never wins. The grid does not change."""

    node: str
    input: Tensor
    output: Tensor
    window: Window


@dataclass(frozen=True, eq=False)
class AveragePool:
    """acc is the sum of x - zx over the n cells of a window inside the image; m is multipliers[n - 1]."""

    node: str
    input: Tensor
    output: Tensor
    window: Window
    multipliers: Floats
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Add:
    """acc = x - zx, and a residual."""

    node: str
    input: Tensor
    output: Tensor
    multiplier: float
    residual: Residual
    clip: Clip = Clip()


@dataclass(frozen=True)
class Piece:
    """Where a tensor goes in a larger one: every `stride`-th row and column, from channel `channel` on."""

    tensor: Tensor
    multiplier: float
    channel: int
    stride: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class Assemble:
    """Concatenation, strided slices, zero channels and requantisation: acc = x - zx. Elsewhere y is zy."""

    node: str
    output: Tensor
    pieces: tuple[Piece, ...]
    clip: Clip = Clip()


Operator = Image | Conv | MaxPool | AveragePool | Add | Assemble


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in execution order. The last one produces the logits."""

    operators: tuple[Operator, ...]
    classes: int

    @property
    def image(self) -> Tensor:
        """The input, in pixels."""
        return self.operators[0].output

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(
            op.output.height * op.output.width * op.weight.size
            for op in self.operators
            if isinstance(op, Conv)
        )


def inputs(op: Operator) -> tuple[Tensor, ...]:
    """The tensors that `op` reads."""
    match op:
        case Image():
            return ()
        case Conv():
            return (op.input,) if op.residual is None else (op.input, op.residual.tensor)
        case Add():
            return (op.input, op.residual.tensor)
        case Assemble():
            return tuple(piece.tensor for piece in op.pieces)
        case _:
            return (op.input,)
