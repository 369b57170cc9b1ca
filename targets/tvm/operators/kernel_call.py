"""How an engine computes an operator: with which kernel, and what that reads besides the operator's input.

Operators import their kernels only when they are asked for them: the toolchain behind takes long to load, and
what an operator means needs none.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from targets.tvm.kernels.strides import Strides
from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, Residual
from targets.tvm.tensors import Array, Tensor

if TYPE_CHECKING:
    from targets.tvm.isa import Isa
    from targets.tvm.kernels.requantise import ResultRange
    from targets.tvm.kernels.row_kernel import RowKernel


class StoredTensors(Protocol):
    """How an engine keeps tensors in memory."""

    @property
    def isa(self) -> "Isa":
        """The instruction set that it is built for."""
        ...

    def channels(self, tensor: Tensor) -> int:
        """The channels of a tensor as stored: padded, but the image's."""
        ...

    def strides(self, tensor: Tensor) -> Strides:
        """Bytes between a tensor's rows and pixels."""
        ...


@dataclass(frozen=True, eq=False)
class KernelCall:
    """A kernel and its operands, besides the operator's input and output.

    multiplier: of what is requantised; None if the kernel does not. clip: of its results. joined: the second
    tensor that it reads, with that one's multiplier. constants: numbers that it reads, one after the other.
    """

    kernel: "RowKernel"
    multiplier: float | None = None
    clip: Clip = UNCLIPPED
    joined: Residual | None = None
    constants: Array | None = None


def result_range(largest: float, output: Tensor, clip: Clip) -> "ResultRange":
    """The bounds on results before they are rounded. largest: of their values, in steps of `output`."""
    from targets.tvm.kernels.requantise import ResultRange

    return ResultRange(
        guard=largest >= 1 << 30,
        short=largest < (1 << 15) - 129,
        clip=(clip.low, clip.high) != (0, output.highest),
        from_zero=output.zero_point == (0,),
    )
