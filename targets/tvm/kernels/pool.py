"""Pooling. Windows are cut at the edge of the image, so no halo is read."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr, clamp_index, splat
from targets.tvm.kernels.requantise import Requantise
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.wide_numbers import number
from targets.tvm.operators.sliding_window import SlidingWindow

_WRITTEN_OUT = 49
"""Up to this many cells of a window are compared without a loop."""


@dataclass(frozen=True, kw_only=True)
class PoolKernel(RowKernel):
    """Geometry of a pooling kernel; `channels` as stored, `input_size` rows and columns."""

    input_size: tuple[int, int]
    width: int
    channels: int
    window: SlidingWindow
    x: Strides
    y: Strides


@dataclass(frozen=True, kw_only=True)
class MaxPoolKernel(PoolKernel):
    """The largest stored value; for cells outside the image, a cell of the window inside it is taken."""

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        (kh, kw), (sh, sw), (ph, pw) = self.window.kernel, self.window.stride, self.window.pad
        lanes = next(n for n in (64, 32, 16) if self.channels % n == 0 and n <= 4 * self.isa.lanes)
        if kh * kw > _WRITTEN_OUT:
            return self._looped(k, lanes, name)
        last_row, last_column = self.input_size[0] - 1, self.input_size[1] - 1
        with k.items() as row, k.loop(self.width) as column:
            rows = [k.let(clamp_index(row * sh + (r - ph), 0, last_row) * self.x.row) for r in range(kh)]
            columns = [
                k.let(clamp_index(column * sw + (s - pw), 0, last_column) * self.x.pixel) for s in range(kw)
            ]
            with k.loop(self.channels // lanes) as chunk:
                largest: Expr = None
                for r in rows:
                    for c in columns:
                        cell = k.load(k.x, r + c + chunk * lanes, lanes)
                        largest = cell if largest is None else k.let(tirx.max(largest, cell))
                k.store(k.y, row * self.y.row + column * self.y.pixel + chunk * lanes, largest, lanes)
        return k.function(name)

    def _looped(self, k: Emitter, lanes: int, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """The same with loops over a window so large that it is not written out."""
        (kh, kw), (sh, sw), (ph, pw) = self.window.kernel, self.window.stride, self.window.pad
        last_row, last_column = self.input_size[0] - 1, self.input_size[1] - 1
        largest = k.registers(1, f"{k.element}x{lanes}")
        least = tirx.const(-128 if self.isa.signed else 0, k.element)
        with k.items() as row, k.loop(self.width) as column, k.loop(self.channels // lanes) as chunk:
            k.store(largest, 0, splat(least, lanes))
            with k.loop(kh) as r, k.loop(kw) as s:
                y = clamp_index(row * sh + (r - ph), 0, last_row) * self.x.row
                x = clamp_index(column * sw + (s - pw), 0, last_column) * self.x.pixel
                cell = k.load(k.x, y + x + chunk * lanes, lanes)
                k.store(largest, 0, tirx.max(k.load(largest, 0), cell))
            at = row * self.y.row + column * self.y.pixel + chunk * lanes
            k.store(k.y, at, k.load(largest, 0), lanes)
        return k.function(name)


@dataclass(frozen=True, kw_only=True)
class AveragePoolKernel(PoolKernel):
    """The mean of the cells inside the image; the multiplier depends on how many there are.

    logits: it is written as float32, and not rounded to bytes.
    """

    logits: bool = False

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR. The parameters are int32 -zx * n and float32 multiplier for n = 1 .. cells."""
        k = self.emitter()
        (kh, kw), (sh, sw), (ph, pw) = self.window.kernel, self.window.stride, self.window.pad
        lanes, height, width = self.isa.lanes, *self.input_size
        requantise = Requantise(self.isa, kh * kw, per_channel=False, y=self.y)
        total = k.registers(1, f"int32x{lanes}")
        with k.items() as row, k.loop(self.width) as column:
            top, bottom = (k.let(clamp_index(row * sh + (d - ph), 0, height)) for d in (0, kh))
            left, right = (k.let(clamp_index(column * sw + (d - pw), 0, width)) for d in (0, kw))
            count = k.let((bottom - top) * (right - left) - 1)
            with k.loop(self.channels // lanes) as chunk:
                k.store(total, 0, splat(k.load(k.ints, count), lanes))
                with k.loop(bottom - top, top) as y, k.loop(right - left, left) as x:
                    at = k.let(y * self.x.row + x * self.x.pixel + chunk * lanes)
                    k.store(total, 0, k.load(total, 0) + number(k, "x", self.x, at, lanes))
                multiplier = splat(k.load(k.floats, count + kh * kw), lanes)
                value = requantise.scaled(k, k.load(total, 0), multiplier)
                at = row * self.y.row + column * self.y.pixel + chunk * lanes
                if self.logits:
                    k.store(k.view_logits, at, value, lanes)
                else:
                    requantise.store(k, at, [0], [value])
        return k.function(name)
