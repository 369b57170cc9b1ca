"""Kernels that join two tensors number by number: sums and products."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.requantise import Requantise, ResultRange, Scalar
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.vector_blocks import Vectors, blocks, by_four, centred, in_one_run
from targets.tvm.kernels.wide_numbers import number


@dataclass(frozen=True, kw_only=True)
class TwoOperandKernel(RowKernel):
    """`channels` as stored; strides of 0 where all pixels are joined to the same one.

    With `one_channel`, all channels of a pixel are joined to one number.
    """

    width: int
    channels: int
    x: Strides
    r: Strides
    y: Strides
    limits: ResultRange
    one_channel: bool

    @property
    def _size(self) -> tuple[int, int]:
        """Pixels and channels of a row."""
        if self.one_channel:
            return self.width, self.channels
        return in_one_run(self.width, self.channels, self.x, self.r, self.y)

    @abstractmethod
    def value(self, k: Emitter, requantise: Requantise, x: Expr, r: Expr) -> Expr:
        """The result in its own steps, of float32 x - zx and r - zr."""

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        requantise = Requantise(self.isa, 1, self.limits, per_channel=False, y=self.y)
        with k.items() as row:
            if not self.one_channel and self.r.row == self.r.pixel == 0:
                self._channels_outside(k, requantise, row)
            else:
                for column, channel, vectors in blocks(k, *self._size, self.isa.lanes):
                    r = k.let(row * self.r.row + column * self.r.pixel + (0 if self.one_channel else channel))
                    rs = self._joined(k, r, vectors)
                    self._write(k, requantise, row, column, channel, vectors, rs)
        return k.function(name)

    def _channels_outside(self, k: Emitter, requantise: Requantise, row: Expr) -> None:
        """Where all pixels are joined to the same one: it is converted once for a row."""
        for first, count in by_four(k, self.channels // self.isa.lanes):
            channel, vectors = k.let(first * self.isa.lanes), [(0, i * self.isa.lanes) for i in range(count)]
            rs = [k.let(value) for value in self._joined(k, channel, vectors)]
            with k.loop(self.width) as column:
                self._write(k, requantise, row, column, channel, vectors, rs)

    def _joined(self, k: Emitter, at: Expr, vectors: Vectors) -> list[Expr]:
        """The second operand minus its zero point."""
        offset = k.load(k.ints, 2 + Scalar.RESIDUAL_OFFSET)
        if self.one_channel:
            return [self._spread(k, at + pixels * self.r.pixel, offset) for pixels, _ in vectors]
        places = [dp * self.r.pixel + dc for dp, dc in vectors]
        return centred(k, self.isa, "r", self.r, at, places, offset)

    def _write(
        self,
        k: Emitter,
        requantise: Requantise,
        row: Expr,
        column: Expr,
        channel: Expr,
        vectors: Vectors,
        rs: list[Expr],
    ) -> None:
        """Join vectors to `rs`, and write them."""
        x, y = (k.let(row * s.row + column * s.pixel + channel) for s in (self.x, self.y))
        places = [[dp * s.pixel + dc for dp, dc in vectors] for s in (self.x, self.y)]
        xs = centred(k, self.isa, "x", self.x, x, places[0], k.load(k.ints, 0))
        values = [self.value(k, requantise, *both) for both in zip(xs, rs, strict=True)]
        requantise.store(k, y, places[1], values)

    def _spread(self, k: Emitter, at: Expr, offset: Expr) -> Expr:
        """One stored value minus its zero point, in every lane."""
        value = number(k, "r", self.r, at)
        return splat((value + offset).astype("float32"), self.isa.lanes)


@dataclass(frozen=True, kw_only=True)
class AddKernel(TwoOperandKernel):
    """The sum of both, each in its own steps."""

    def value(self, k: Emitter, requantise: Requantise, x: Expr, r: Expr) -> Expr:
        """fma(x - zx, m, (r - zr) * mr)."""
        lanes = self.isa.lanes
        addend = r * requantise.scalar(k, Scalar.RESIDUAL_MULTIPLIER, lanes)
        return k.call(f"float32x{lanes}", f"llvm.fma.v{lanes}f32", x, requantise.multiplier(k, 0), addend)


@dataclass(frozen=True, kw_only=True)
class MultiplyKernel(TwoOperandKernel):
    """The product of both, which float32 holds exactly where one of them has 8 bits: 65,535 * 255 < 2**24."""

    def value(self, k: Emitter, requantise: Requantise, x: Expr, r: Expr) -> Expr:
        """(x - zx) (r - zr) * m."""
        return (x * r) * requantise.multiplier(k, 0)
