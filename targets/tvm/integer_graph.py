"""The integer graph: an exact definition of what the engine computes.

Every activation is a uint8 on a per-tensor grid `real = scale * (q - zero_point)` (an int8 tensor of the Q/DQ
graph is stored 128 higher). The arithmetic of each operator is the numeric contract:

    acc = sum((x - zx) * w) + bias                                        int32, exact
    y   = clip(rne(float32(acc) * m) + zy)                                without residual
    y   = clip(rne(fma(float32(acc), m, float32(r - zr) * mr)) + zy)      with residual

where m and mr are float32, rne rounds half to even, and clip is to [low, high] in uint8. A sum that is
wanted as a real number, as logits are, leaves as float32(acc) * m. What has no integer form is an `Island`
of float32 operators between `Dequantise` and `Quantise`; `targets.tvm.floats` says what it computes.
"""

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import assert_never

import numpy as np
import onnx
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
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
class Dense:
    """A tensor of an island: contiguous, in ONNX's shape and order, the batch (always 1) included."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class SlidingWindow:
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
    window: SlidingWindow
    groups: int = 1
    residual: Residual | None = None
    clip: Clip = Clip()
    real: bool = False
    """The result is float32(acc) * m, in float32; output has no grid."""


@dataclass(frozen=True, eq=False)
class MaxPool:
    """Largest value in each window; padding never wins. The grid does not change."""

    node: str
    input: Tensor
    output: Tensor
    window: SlidingWindow


@dataclass(frozen=True, eq=False)
class ChannelMax:
    """Largest value of each pixel. The grid does not change."""

    node: str
    input: Tensor
    output: Tensor


@dataclass(frozen=True, eq=False)
class AveragePool:
    """acc is the sum of x - zx over the n cells of a window inside the image; m is multipliers[n - 1]."""

    node: str
    input: Tensor
    output: Tensor
    window: SlidingWindow
    multipliers: Floats
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Add:
    """acc = x - zx, and a residual: of x's shape, one pixel for all of x's, or one channel for all."""

    node: str
    input: Tensor
    output: Tensor
    multiplier: float
    residual: Residual
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Multiply:
    """acc = (x - zx) * (r - zr). The factor r is as a residual of Add."""

    node: str
    input: Tensor
    factor: Tensor
    output: Tensor
    multiplier: float
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Rectify:
    """PRelu: acc = x - zx, and the multiplier is m where acc is 0 or above, else slope[k] of the channel."""

    node: str
    input: Tensor
    output: Tensor
    multiplier: float
    slopes: Floats
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Lookup:
    """y = table[x], uint8 [256]: any function of one number, rounded when the engine is built."""

    node: str
    input: Tensor
    output: Tensor
    table: Bytes


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Between which two rows (or columns) of the input each of the output is. Shares are in parts."""

    first: Int32s
    second: Int32s
    share: Int32s
    parts: int


@dataclass(frozen=True, eq=False)
class Pick:
    """The pixels in these rows and columns of the input, and of each these channels.

    The nearest pixels of a resize, slices, splits, and channels in another order. The grid does not change.
    """

    node: str
    input: Tensor
    output: Tensor
    rows: Int32s
    columns: Int32s
    channels: Int32s

    @property
    def all_channels(self) -> bool:
        """Whether each pixel is taken as it is."""
        return np.array_equal(self.channels, np.arange(self.input.channels))


@dataclass(frozen=True, eq=False)
class PixelShuffle:
    """Channels become pixels: block x block of them from each pixel of the input. The grid does not change.

    y[r * block + a, c * block + b, k] = x[r, c, channel], which is (a * block + b) * K + k, or with
    `channels_first` k * block^2 + a * block + b.
    """

    node: str
    input: Tensor
    output: Tensor
    block: int
    channels_first: bool = False


@dataclass(frozen=True, eq=False)
class Interpolate:
    """acc = sum of the four pixels' x - zx, times their shares in rows and columns: below 2**24."""

    node: str
    input: Tensor
    output: Tensor
    rows: Neighbours
    columns: Neighbours
    multiplier: float
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Affine:
    """A factor and an addend for each channel, in steps of the output's grid."""

    multiplier: Floats
    offset: Floats


@dataclass(frozen=True, eq=False)
class Piece:
    """Where a tensor goes in a larger one: every `stride`-th row and column, from channel `channel` on.

    With `affine` the value is fma(float32(x - zx), m[k], offset[k]), and `multiplier` is not used.
    """

    tensor: Tensor
    multiplier: float
    channel: int
    stride: tuple[int, int] = (1, 1)
    affine: Affine | None = None


@dataclass(frozen=True, eq=False)
class Assemble:
    """Concatenation, strided slices, zero channels and requantisation: acc = x - zx. Elsewhere y is zy."""

    node: str
    output: Tensor
    pieces: tuple[Piece, ...]
    clip: Clip = Clip()


@dataclass(frozen=True, eq=False)
class Dequantise:
    """float32(x - zx) * scale, channels first; of a `real` input the numbers as they are.

    With `block` above 1, channels become pixels on the way, as in PixelShuffle.
    """

    node: str
    input: Tensor
    output: Dense
    scale: float
    real: bool = False
    block: int = 1


@dataclass(frozen=True, eq=False)
class Island:
    """Float operators: an ONNX graph of static shapes whose inputs and outputs are these tensors.

    The input called `IntegerGraph.pixels` is the caller's image, uint8 [1, H, W, C].
    """

    node: str
    inputs: tuple[Dense, ...]
    outputs: tuple[Dense, ...]
    model: onnx.ModelProto


@dataclass(frozen=True, eq=False)
class Quantise:
    """clip(rne(x / scale) + zy), from [1, C, H, W] or [1, C]."""

    node: str
    input: Dense
    output: Tensor
    scale: float


Pointwise = Add | Multiply | Rectify | Lookup
"""Operators that go over tensors of one size, number by number."""
Resize = Pick | Interpolate | PixelShuffle
"""Operators that make a map larger or smaller, or take parts of it."""
Computed = Conv | MaxPool | AveragePool | ChannelMax | Pointwise | Resize | Assemble | Dequantise | Quantise
"""Operators that compute one tensor."""
Operator = Image | Island | Computed
"""All of them. Each match over them ends in assert_never, so mypy names every file that lacks a new one."""


@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """Operators in execution order. `logits` is the result of the last one, in float32."""

    operators: tuple[Operator, ...]
    image: Tensor
    logits: Tensor | Dense
    pixels: str = "image"
    """What islands call the caller's image, where they read it themselves."""

    def __post_init__(self) -> None:
        """Refuse two tensors of one name: memory is planned by names, so one would write over the other."""
        written = Counter(tensor.name for op in self.operators for tensor in outputs(op))
        twice = {name for name, times in written.items() if times > 1}
        if twice:
            raise ValueError(f"several operators write {sorted(twice)}")

    @property
    def classes(self) -> int:
        """How many numbers come out."""
        return self.logits.channels if isinstance(self.logits, Tensor) else prod(self.logits.shape)

    @property
    def output_pixels(self) -> int:
        """For how many places of the image there are classes: 1 unless pixels are classified."""
        return 1 if isinstance(self.logits, Tensor) else prod(self.logits.shape[2:])  # [1, classes, H, W]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference between integers."""
        return sum(
            op.output.height * op.output.width * op.weight.size
            for op in self.operators
            if isinstance(op, Conv)
        )


def inputs(op: Operator) -> tuple[Tensor | Dense, ...]:
    """The tensors that `op` reads."""
    found: tuple[Tensor | Dense, ...] = ()
    match op:
        case Image():
            pass
        case Conv():
            found = (op.input,) if op.residual is None else (op.input, op.residual.tensor)
        case Add():
            found = (op.input, op.residual.tensor)
        case Multiply():
            found = (op.input, op.factor)
        case Assemble():
            found = tuple(piece.tensor for piece in op.pieces)
        case Island():
            found = op.inputs
        case (
            MaxPool()
            | AveragePool()
            | ChannelMax()
            | Rectify()
            | Lookup()
            | Pick()
            | Interpolate()
            | PixelShuffle()
            | Dequantise()
            | Quantise()
        ):
            found = (op.input,)
        case _:
            assert_never(op)
    return found


def outputs(op: Operator) -> tuple[Tensor | Dense, ...]:
    """The tensors that `op` writes."""
    return op.outputs if isinstance(op, Island) else (op.output,)
