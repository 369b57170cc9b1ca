"""Chooses a convolution's block sizes: measured ones if there are any, else by counting instructions.

A block needs its accumulators, its weights and one activation in registers. Of those that fit, the one
with the lowest estimate wins: dot instructions, loads, and what blocks of another size cost where sizes do
not divide.
"""

from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import inner_step
from targets.tvm.kernels.inner_step import InnerStep, places
from targets.tvm.tile import ConvShape, Tile, cut, regions
from targets.tvm.tuning.database import find

_TOGETHER = 4
"""The widest kernel whose columns are read together: a wider one would need more registers."""
_ANOTHER_SIZE = 0.02
"""The additional cost of blocks of another size: more code, and rows that threads share less evenly."""


def reading_order(
    columns: int, stride: int, dilation: int, channels: int, inner: InnerStep
) -> tuple[int, ...]:
    """The columns of a kernel that are read together, (0,) if none are.

    Where a load brings more than an instruction takes, as on ARM, neighbouring output pixels share what their
    taps load. Columns that differ by a multiple of the stride read the same pixels, so they come after each
    other, and what they share is not in registers for longer than that.
    """
    if inner.unit * inner.granule < 16 or channels % 16 or columns > _TOGETHER:
        return (0,)
    return tuple(sorted(range(columns), key=lambda column: (column * dilation % stride, column)))


def choose(shape: ConvShape, isa: Isa) -> Tile:
    """The tile that was measured to be the fastest, or else the first of `ranked`."""
    known, tiles = find(shape, isa), candidates(shape, isa)
    if known and any(_size(known) == _size(tile) for tile in tiles):
        return known
    return _from_cheapest(tiles, shape, isa)[0]


def _size(tile: Tile) -> tuple[int, int, int]:
    return tile.rows, tile.columns, tile.vectors


def ranked(shape: ConvShape, isa: Isa) -> list[Tile]:
    """Tiles from the lowest estimated cost on; of equal ones the larger first."""
    return _from_cheapest(candidates(shape, isa), shape, isa)


def _from_cheapest(tiles: list[Tile], shape: ConvShape, isa: Isa) -> list[Tile]:
    return sorted(tiles, key=lambda t: (cost(shape, isa, t), -t.pixels * t.vectors))


def candidates(shape: ConvShape, isa: Isa) -> list[Tile]:
    """All tiles that divide the channels and fit the registers."""
    inner, found = inner_step(isa, words=shape.words, split=shape.split, chained=shape.chained), []
    unroll = inner.unroll if shape.granules > inner.unit else 1
    for vectors in (1,) if shape.chained else range(1, 9):
        block = vectors * isa.lanes
        if shape.channels % block or shape.group % block:
            continue
        for rows in range(shape.row_unit, min(shape.height, 4) + 1, shape.row_unit):
            for columns in range(1, min(shape.width, 28) + 1):
                read = rows * (columns + shape.overlap - 1)
                pixels = len(places(rows, columns, inner.pair))
                registers = inner.registers(pixels, vectors) + inner.operands(pixels, read, vectors)
                if registers <= isa.registers and _largest(shape, rows, columns) == (rows, columns):
                    found.append(Tile(rows, columns, vectors, unroll))
    return found


def _largest(shape: ConvShape, rows: int, columns: int) -> tuple[int, int]:
    """The largest rows and columns of blocks that are to have no more than these."""
    return cut(shape.height, rows, shape.row_unit)[0].size, cut(shape.width, columns)[0].size


def cost(shape: ConvShape, isa: Isa, tile: Tile) -> float:
    """Estimated instructions of the whole convolution, in units of one dot instruction."""
    sizes = list(regions(shape.height, shape.width, tile, shape.row_unit))
    blocks = sum(
        rows.count * columns.count * _block_cost(shape, isa, rows.size, columns.size, tile.vectors)
        for rows, columns in sizes
    )
    blocks *= 1 + _ANOTHER_SIZE * (len(sizes) - 1)
    return blocks * shape.granules * shape.runs * shape.channels / (tile.vectors * isa.lanes)


def _block_cost(shape: ConvShape, isa: Isa, rows: int, columns: int, vectors: int) -> float:
    """Estimated instructions of one granule of a block."""
    inner = inner_step(isa, words=shape.words, split=shape.split, chained=shape.chained)
    pixels = len(places(rows, columns, inner.pair))
    dots = inner.registers(pixels, vectors)
    live = rows * (columns + shape.overlap - 1) / shape.overlap
    activations = live / inner.unit * inner.pair / (4 if shape.paired else 1)  # loaded, and for smmla joined
    return max(dots, inner.independent) + inner.exposed_loads * (inner.weight_loads(vectors) + activations)
