"""The largest value of each pixel, as attention over places asks for it."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides

_VECTOR = 16


@dataclass(frozen=True, kw_only=True)
class ChannelMaxKernel(RowKernel):
    """`channels`: those of the tensor, without the padding, which is not compared."""

    width: int
    channels: int
    x: Strides
    y: Strides

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        largest = k.registers(1, f"{k.element}x{_VECTOR}")
        with k.items() as row, k.loop(self.width) as column:
            x = k.let(row * self.x.row + column * self.x.pixel)
            k.store(largest, 0, self._first(k, x))
            with k.loop(self.channels // _VECTOR) as chunk:
                more = k.load(k.x, x + chunk * _VECTOR, _VECTOR)
                k.store(largest, 0, tirx.max(k.load(largest, 0), more))
            k.store(k.y, row * self.y.row + column * self.y.pixel, self._of_all(k, k.load(largest, 0)))
        return k.function(name)

    def _first(self, k: Emitter, x: Expr) -> Expr:
        """A vector of the last channels; where they are too few, some stand in it several times."""
        if self.channels >= _VECTOR:
            return k.load(k.x, x + (self.channels - _VECTOR), _VECTOR)
        return tirx.Shuffle([k.load(k.x, x, _VECTOR)], [i % self.channels for i in range(_VECTOR)])

    def _of_all(self, k: Emitter, values: Expr) -> Expr:
        """The largest of a vector: of its halves, of theirs, down to one."""
        found, count = k.let(values), _VECTOR
        while count > 1:
            count //= 2
            halves = [tirx.Shuffle([found], list(range(at, at + count))) for at in (0, count)]
            found = k.let(tirx.max(*halves))
        return found
