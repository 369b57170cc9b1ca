"""Widens a convolution's input to int16, once for all taps and output channels.

Without VNNI operands are multiplied as int16. An activation is multiplied with many weights. Widening it at
each product took as many instructions as the products of two vectors.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from targets.tvm.isa import Isa
from targets.tvm.kernels.copied_rows import WORTH, CopiedRows, read_pixels
from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.strides import Strides
from targets.tvm.layout import Layout

_VECTOR = 16


@dataclass(frozen=True, kw_only=True)
class WidenKernel(CopiedRows):
    """`height` rows of `width` pixels, halo included; x: bytes between those that are read."""

    written: ClassVar[str] = "widened"

    @property
    def strides(self) -> Strides:
        """Elements between rows and pixels that are written."""
        return Strides(self.width * self.channels, self.channels)

    @property
    def size(self) -> int:
        """Bytes that are written, and room for the last load of a run."""
        return 2 * self.height * self.strides.row + 4 * _VECTOR

    @property
    def row(self) -> int:
        """Bytes of a row that is written."""
        return 2 * self.strides.row

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        runs, length = (1, self.width * self.channels) if self._contiguous else (self.width, self.channels)
        with k.items() as row, k.loop(runs) as run:
            x = k.let(row * self.x.row + run * self.x.pixel)
            self._run(k, x, k.let(row * self.strides.row + run * length), length)
        return k.function(name)

    @property
    def _contiguous(self) -> bool:
        return self.x.pixel == self.channels

    def _word(self, k: Emitter, x: Expr, count: int) -> Expr:
        """Bytes as int16."""
        return k.load(k.x, x, count).astype("int16" if count == 1 else f"int16x{count}")

    def _run(self, k: Emitter, x: Expr, y: Expr, length: int) -> None:
        """Widen neighbouring bytes; the last vector overlaps the one before it."""
        words = k.view("y", "int16")
        whole, rest = divmod(length, _VECTOR)
        with k.loop(whole) as i:
            k.store(words, y + i * _VECTOR, self._word(k, x + i * _VECTOR, _VECTOR), _VECTOR)
        if rest and whole:
            last = length - _VECTOR
            k.store(words, y + last, self._word(k, x + last, _VECTOR), _VECTOR)
        elif rest:
            for i in range(rest):
                k.store(words, y + i, self._word(k, x + i, 1))


def widen(
    isa: Isa,
    output: tuple[int, int],
    reach: tuple[int, int],
    stride: tuple[int, int],
    x: Layout,
    products: int,
) -> WidenKernel | None:
    """The kernel that widens the input of a convolution; None where it would take longer than it saves.

    `output` and `reach`: rows and columns of the result, and of a window. `products`: multiplications of an
    activation by one window: two vectors of weights are enough, unless there is a single pixel.
    """
    worth = WORTH if output == (1, 1) else 2 * isa.lanes
    if not isa.multiplies_words or x.wide or products < worth:
        return None
    read = read_pixels(output, reach, stride, x)
    return WidenKernel(isa=isa, height=read.height, width=read.width, channels=x.channels, x=read.x)
