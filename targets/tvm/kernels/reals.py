"""Kernels between integers and float islands: pixels of channels on one side, ONNX's planes on the other."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.isa import CENTRE
from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.wide_numbers import number


@dataclass(frozen=True, kw_only=True)
class DequantiseKernel(RowKernel):
    """float32(x - zx) * scale, or with `real` the float32 that is there, from pixels to planes.

    The strides are in elements. Parameters: int32 -zx, float32 scale.
    """

    width: int
    channels: int
    x: Strides
    real: bool
    block: int = 1

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        real, planes = k.view("x", "float32"), k.view("y", "float32")
        kept = self.channels // self.block**2
        width, plane = self.width * self.block, self.height * self.width * self.block**2
        with (
            k.items() as row,
            k.loop(self.block) as down,
            k.loop(self.block) as right,
            k.loop(kept) as channel,
            k.loop(self.width) as column,
        ):
            part = (down * self.block + right) * kept
            at = row * self.x.row + column * self.x.pixel + part + channel
            if self.real:
                value = k.load(real, at)
            else:
                centred = number(k, "x", self.x, at) + k.load(k.ints, 0)
                value = centred.astype("float32") * k.load(k.floats, 1)
            at = (row * self.block + down) * width + column * self.block + right
            k.store(planes, channel * plane + at, value)
        return k.function(name)


@dataclass(frozen=True, kw_only=True)
class QuantiseKernel(RowKernel):
    """clip(rne(x / scale) + zy), from planes to pixels. Parameters: int32 zy as stored, float32 scale."""

    width: int
    channels: int
    y: Strides

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        planes = k.view("x", "float32")
        wide = self.y.words or self.y.low
        low, high = (-CENTRE, CENTRE - 1) if wide else (-128, 127) if self.isa.signed else (0, 255)
        zero, scale = k.let(k.load(k.ints, 0)), k.let(k.load(k.floats, 1))
        least, most = ((tirx.const(v, "int32") - zero).astype("float32") for v in (low, high))
        with (
            k.items() as row,
            k.loop(self.channels) as channel,
            k.loop(self.width) as column,
        ):
            x = k.load(planes, channel * (self.height * self.width) + row * self.width + column)
            steps = tirx.max(tirx.min(self._rounded(k, x / scale), most), least)
            stored, at = steps.astype("int32") + zero, row * self.y.row + column * self.y.pixel + channel
            y = k.numbers("y", self.y)
            if self.y.low:
                stored = k.let(stored)
                k.store(y, at + self.y.low, ((stored & 255) ^ 128).astype(k.element))
                stored = tirx.shift_right(stored, tirx.const(8, "int32"))
            k.store(y, at, stored.astype("int16" if self.y.words else k.element))
        return k.function(name)

    def _rounded(self, k: Emitter, value: Expr) -> Expr:
        return k.call("float32", "llvm.roundeven.f32", value)
