"""Kernels that go over pixels one by one: the image, copies to another place or grid."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.wide_numbers import number


@dataclass(frozen=True, kw_only=True)
class ImageKernel(RowKernel):
    """Rows of `row` bytes of the image, moved to where they have a halo, in the type that is stored."""

    row: int
    stride: int

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter("uint8")
        lanes = 4 * self.isa.lanes
        flip = tirx.const(128 if self.isa.signed else 0, "uint8")
        with k.items() as row:
            with k.loop(self.row // lanes) as chunk:
                pixels = k.load(k.x, row * self.row + chunk * lanes, lanes)
                k.store(k.y, row * self.stride + chunk * lanes, pixels ^ splat(flip, lanes), lanes)
            done = self.row // lanes * lanes
            with k.loop(self.row - done) as byte:
                k.store(
                    k.y, row * self.stride + (byte + done), k.load(k.x, row * self.row + (byte + done)) ^ flip
                )
        return k.function(name)


@dataclass(frozen=True, kw_only=True)
class CopyKernel(RowKernel):
    """`channels` of every pixel, copied into a wider tensor; `plain` where the grid stays the same."""

    width: int
    channels: int
    x: Strides
    y: Strides
    plain: bool
    limits: ResultRange
    affine: int = 0
    """How many channels have their own multiplier and addend, float32 at w; 0: all share one multiplier."""

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR. Only the tensor's own channels are written: others lie beside them."""
        k = self.emitter()
        lanes = self.isa.lanes
        whole, rest = divmod(self.channels, lanes)
        with k.items() as row, k.loop(self.width) as column:
            x = k.let(row * self.x.row + column * self.x.pixel)
            y = k.let(row * self.y.row + column * self.y.pixel)
            if whole:
                with k.loop(whole) as chunk:
                    self._copy(k, x, y, chunk * lanes, lanes)
            if rest:
                self._copy(k, x, y, tirx.const(whole * lanes, "int64"), rest)
        return k.function(name)

    def _copy(self, k: Emitter, x: Expr, y: Expr, channel: Expr, count: int) -> None:
        x, y = x + channel, y + channel
        lanes = self.isa.lanes
        if self.plain and count == lanes:
            k.store(k.y, y, k.load(k.x, x, lanes), lanes)
        elif self.plain:
            for i in range(count):
                k.store(k.y, y + i, k.load(k.x, x + i))
        else:
            requantise = Requantise(
                self.isa, self.affine or 1, self.limits, per_channel=self.affine > 0, y=self.y
            )
            total = number(k, "x", self.x, x, lanes) + splat(k.load(k.ints, 0), lanes)
            addend = k.load(k.view("w", "float32"), channel, lanes) if self.affine else None
            value = requantise.scaled(k, total, requantise.multiplier(k, channel), addend)
            requantise.store(k, y, [0], [value], None if count == lanes else count)
