"""Gives each output channel of a grouped convolution its own input channels, in its own lane.

Where groups have few channels, output channels that are computed together need inputs in another order, or
several times. Here they are brought into it once for all taps of the kernel: plane j of a pixel has for each
output channel the j-th input of its group. What follows is a depthwise convolution.
"""

from dataclasses import dataclass
from math import gcd
from typing import Any, ClassVar

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.row_kernel import RowKernel

_VECTOR = 16


@dataclass(frozen=True, kw_only=True)
class SpreadKernel(RowKernel):
    """`height` rows of `width` pixels, halo included, `x_row` and `x_pixel` bytes apart.

    A group has `inputs` and `outputs` channels; there are `count` output channels, `channels` as stored.
    """

    width: int
    x_row: int
    x_pixel: int
    inputs: int
    outputs: int
    count: int
    channels: int
    written: ClassVar[str] = "channels in lanes"

    @property
    def pixel(self) -> int:
        """Bytes of a pixel that is written."""
        return self.inputs * self.channels

    @property
    def row(self) -> int:
        """Bytes of a row that is written."""
        return self.width * self.pixel

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return self.height * self.row

    def reads(self, items: range) -> range:
        """Bytes that work items read."""
        wide = (self.width - 1) * self.x_pixel + self.count // self.outputs * self.inputs
        return range(items[0] * self.x_row, items[-1] * self.x_row + wide)

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        period = self.outputs // gcd(
            self.outputs, _VECTOR
        )  # vectors until groups begin at a lane's start again
        whole = self.count // _VECTOR // period
        distance = period * _VECTOR // self.outputs * self.inputs
        with k.items() as row, k.loop(self.width) as column:
            x = k.let(row * self.x_row + column * self.x_pixel)
            y = k.let(row * self.row + column * self.pixel)
            with k.loop(whole) as turn:
                for vector in range(period):
                    to = y + turn * (period * _VECTOR) + vector * _VECTOR
                    self._spread(k, x + turn * distance, to, vector)
            for vector in range(whole * period, self.channels // _VECTOR):
                self._spread(k, x, y + vector * _VECTOR, vector)
        return k.function(name)

    def _spread(self, k: Emitter, x: Expr, y: Expr, vector: int) -> None:
        """Write one vector of output channels of every plane."""
        last = self.count - 1
        groups = [min(vector * _VECTOR + i, last) // self.outputs for i in range(_VECTOR)]
        first, length = groups[0] * self.inputs, (groups[-1] - groups[0] + 1) * self.inputs
        loaded = [k.let(k.load(k.x, x + (first + at), _VECTOR)) for at in range(0, length, _VECTOR)]
        for plane in range(self.inputs):
            order = [group * self.inputs + plane - first for group in groups]
            k.store(k.y, y + plane * self.channels, tirx.Shuffle(loaded, order), _VECTOR)
