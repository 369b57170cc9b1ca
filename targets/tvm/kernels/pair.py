"""Interleaves rows of pixels that are multiplied together, for ARM's matrix product.

`smmla` takes 8 channels of each of two pixels, but a load brings 16 of one: convolutions join halves of two
loads, again for each block of output channels. Here that is done once for all of them.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import inner_step
from targets.tvm.kernels.emitter import Emitter, clamp_index

_VECTOR = 16
_INSTRUCTIONS = 5
"""Two loads, two joins, a store of two."""
_WORTH = 0.1
"""Convolutions save about this share of their products at least."""
_LOWEST = 7
"""The least odd number of rows. With fewer, the unused row costs more than pairing saves."""


@dataclass(frozen=True)
class PairKernel:
    """8 channels of a pixel, then those of the one that is `distance` rows below it, for `rows` rows.

    Written is [row][16 channels][column][8 channels][upper, lower], so that the columns of a window are close
    to each other. `columns` and `channels` are read of each row. Of each `period` rows, the first `taken` are
    needed. There is no row below row `last`: it stands for those, and results are not used.
    """

    isa: Isa
    rows: int
    columns: int
    channels: int
    stride: int
    """Bytes from one row to the next."""
    distance: int
    period: int
    taken: int
    last: int
    written: ClassVar[str] = "pairs of rows"

    @property
    def items(self) -> int:
        """Work items: rows."""
        return self.rows

    @property
    def row(self) -> int:
        """Bytes of a row that is written."""
        return 2 * self.columns * self.channels

    @property
    def pixel(self) -> int:
        """Bytes from one column to the next."""
        return 2 * _VECTOR

    @property
    def chunk(self) -> int:
        """Bytes from 16 channels to the next 16."""
        return self.pixel * self.columns

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return self.rows * self.row

    @property
    def windows(self) -> int:
        """Bytes from the windows of one row of results to those of the next; a pair of rows has the same."""
        return self.taken * self.row // 2

    def reads(self, items: range) -> range:
        """Bytes that work items read, and maybe more between them."""
        first, last = (n // self.taken * self.period + n % self.taken for n in (items[0], items[-1]))
        lowest = min(last + self.distance, self.last)
        return range(first * self.stride, lowest * self.stride + self.columns * self.channels)

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter("int8")
        with k.items() as item:
            period = tirx.floordiv(item, tirx.const(self.taken, "int64"))
            row = k.let(item + (period * (self.period - self.taken) if self.taken < self.period else 0))
            rows = [k.let(clamp_index(row + d, 0, self.last) * self.stride) for d in (0, self.distance)]
            with k.loop(self.channels // _VECTOR) as chunk:
                begins = [k.let(begin + chunk * _VECTOR) for begin in rows]
                to = k.let(item * self.row + chunk * self.chunk)
                with k.loop(self.columns) as column:
                    vectors = [k.load(k.x, begin + column * self.channels, _VECTOR) for begin in begins]
                    halves = [tirx.reinterpret("int64x2", vector) for vector in vectors]
                    for half in range(2):
                        both = tirx.reinterpret("int8x16", tirx.Shuffle(halves, [half, 2 + half]))
                        k.store(k.y, to + (column * self.pixel + half * _VECTOR), both, _VECTOR)
        return k.function(name)


def pair_rows(
    isa: Isa,
    output: tuple[int, int],
    reach: tuple[int, int],
    stride: tuple[int, int],
    pixel: tuple[int, int],
    products: int,
) -> PairKernel | None:
    """The kernel that pairs the rows a convolution reads; None where it would take longer than it saves.

    `output` and `reach`: rows and columns of the result, and of a window. `pixel`: bytes from one row, and
    one pixel, to the next. `products`: multiplications of the convolution.
    """
    (height, width), (down, right), (sy, sx) = output, reach, stride
    inner = inner_step(isa)
    if not inner.pairs_rows or (height % 2 and height < _LOWEST) or pixel[1] % _VECTOR:
        return None
    period = 2 * sy
    taken = min(down, period)
    rows = (-(-height // 2) - 1) * taken + down
    columns = (width - 1) * sx + right
    if rows * columns * pixel[1] // _VECTOR * _INSTRUCTIONS > _WORTH * products / (
        inner.products * isa.lanes
    ):
        return None
    last = (height - 1) * sy + down - 1
    return PairKernel(isa, rows, columns, pixel[1], pixel[0], sy, period, taken, last)
