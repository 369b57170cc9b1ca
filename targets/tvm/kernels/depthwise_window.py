"""The facts of a depthwise convolution: its window, the size of a block of results, and where pixels are."""

from collections.abc import Iterator
from dataclasses import dataclass

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import tap_step, widest_tap_step
from targets.tvm.kernels.requantise import ResultRange
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.tap_plan import TapPlan, tap_plan
from targets.tvm.kernels.tap_step import TapStep


@dataclass(frozen=True)
class TapWindow:
    """Kernel size, stride and dilation, each (rows, columns); `planes` inputs of each output channel.

    Planes lie beside each other in every pixel, each with all output channels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    planes: int = 1

    def columns_read(self, columns: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Columns of pixels that so many results read, each with pairs (result, kernel's column)."""
        kw, sx, dw = self.kernel[1], self.stride[1], self.dilation[1]
        for column in range((columns - 1) * sx + (kw - 1) * dw + 1):
            uses = [(p, s) for p in range(columns) for s in range(kw) if p * sx + s * dw == column]
            if uses:
                yield column, uses

    @property
    def shared(self) -> int:
        """Columns of pixels that neighbouring blocks of results read."""
        return max(0, self.kernel[1] - self.stride[1]) if self.dilation[1] == 1 else 0


@dataclass(frozen=True)
class TapBlock:
    """Largest number of rows and columns of results that are computed together."""

    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class DepthwiseShape:
    """One convolution, down to its addresses. `channels` as stored; x, y, residual: bytes between pixels."""

    isa: Isa
    height: int
    width: int
    channels: int
    window: TapWindow
    block: TapBlock
    limits: ResultRange
    x: Strides
    y: Strides
    residual: Strides | None = None
    applied: RegisterFunction | None = None

    def plan(self, rows: int) -> TapPlan:
        """How the rows of a block's results are multiplied."""
        return window_plan(self.window, rows, widest_tap_step(self.isa, self.wide))

    def step(self, channels: int) -> TapStep:
        """How vectors of so many channels are multiplied."""
        return tap_step(self.isa, channels, self.wide)

    @property
    def wide(self) -> bool:
        """Whether it reads 16 bits."""
        return self.x.words or self.x.low > 0


def window_plan(window: TapWindow, rows: int, step: TapStep) -> TapPlan:
    """How `rows` rows of results are multiplied."""
    return tap_plan(
        rows, window.kernel[0], window.stride[0], window.dilation[0], window.planes, step.together
    )
