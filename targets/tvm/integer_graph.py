"""The integer graph: an exact definition of what the engine computes.

Every activation is a uint8 on a per-tensor grid `real = scale * (q - zero_point)` (an int8 tensor of the Q/DQ
graph is stored 128 higher). The arithmetic of each operator in `operators/` is the numeric contract:

    acc = sum((x - zx) * w) + bias                                        int32, exact
    y   = clip(rne(float32(acc) * m) + zy)                                without residual
    y   = clip(rne(fma(float32(acc), m, float32(r - zr) * mr)) + zy)      with residual

where m and mr are float32, rne rounds half to even, and clip is to [low, high] in uint8. A sum that is
wanted as a real number, as logits are, leaves as float32(acc) * m. Some functions are computed of that real
number before it is rounded: `operators.sum_functions`. What has no integer form is an `Island`
of float32 operators between `Dequantise` and `Quantise`; `targets.tvm.floats` says what it computes.
"""

from collections import Counter
from dataclasses import dataclass
from math import prod

import onnx

from targets.tvm.operators.assembling import Assemble
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Pointwise
from targets.tvm.operators.float_boundary import Dequantise, Quantise
from targets.tvm.operators.resizing import Resize
from targets.tvm.operators.window_pooling import Pooling
from targets.tvm.tensors import Dense, Tensor


@dataclass(frozen=True, eq=False)
class Image:
    """The input pixels."""

    output: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """None: it is given."""
        return ()


@dataclass(frozen=True, eq=False)
class Island:
    """Float operators: an ONNX graph of static shapes whose inputs and outputs are these tensors.

    The input called `IntegerGraph.pixels` is the caller's image, uint8 [1, H, W, C].
    """

    node: str
    inputs: tuple[Dense, ...]
    outputs: tuple[Dense, ...]
    model: onnx.ModelProto


Computed = Conv | Pooling | Pointwise | Resize | Assemble | Dequantise | Quantise
"""Operators that compute one tensor."""
Operator = Image | Island | Computed
"""All of them. Lowering ends in assert_never, so mypy names every file that lacks a new one."""


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
        """The number of logits."""
        return self.logits.channels if isinstance(self.logits, Tensor) else prod(self.logits.shape)

    @property
    def output_pixels(self) -> int:
        """How many pixels are classified; 1 if the image is."""
        return 1 if isinstance(self.logits, Tensor) else prod(self.logits.shape[2:])  # [1, classes, H, W]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference between integers."""
        return sum(
            op.output.height * op.output.width * op.weight.size
            for op in self.operators
            if isinstance(op, Conv)
        )


def outputs(op: Operator) -> tuple[Tensor | Dense, ...]:
    """The tensors that `op` writes."""
    return op.outputs if isinstance(op, Island) else (op.output,)
