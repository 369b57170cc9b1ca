"""Goes over the vectors of a row of pixels, four at a time, because four are narrowed to bytes together."""

from collections.abc import Iterator, Sequence

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.requantise import joined, split

_TOGETHER = 4

Block = tuple[Expr, Expr, list[tuple[int, int]]]
"""A pixel and a channel of it, and how many pixels and channels each vector is from there."""


def blocks(k: Emitter, width: int, channels: int, lanes: int) -> Iterator[Block]:
    """Emit loops over all vectors: of a pixel's channels where they are four or more, else of four pixels."""
    vectors = channels // lanes
    if vectors >= _TOGETHER or width == 1:
        with k.loop(width) as column:
            for vector, count in _by_four(k, vectors):
                yield column, vector * lanes, [(0, i * lanes) for i in range(count)]
    else:
        with k.loop(vectors) as vector:
            for column, count in _by_four(k, width):
                yield column, vector * lanes, [(i, 0) for i in range(count)]


def _by_four(k: Emitter, count: int) -> Iterator[tuple[Expr, int]]:
    """Go over `count` things, four at a time and then the rest: the first, and how many."""
    with k.loop(count // _TOGETHER) as four:
        yield four * _TOGETHER, _TOGETHER
    if rest := count % _TOGETHER:
        yield tirx.const(count - rest, "int64"), rest


def centred(
    k: Emitter, isa: Isa, buffer: Buffer, at: Expr, offsets: Sequence[int], zero: Expr, low: int = 0
) -> list[Expr]:
    """The stored values at `at` + each offset minus their zero point, as vectors of float32.

    On ARM the offsets are those of neighbours. `low`: from a high byte to its low byte, if there are some.
    """
    lanes = isa.lanes
    if low:
        zeros, places = splat(zero, lanes), [at + offset for offset in offsets]
        found = [
            joined(k.load(buffer, place, lanes), k.load(buffer, place + low, lanes), lanes) - zeros
            for place in places
        ]
    elif not isa.signed:
        zeros = splat(zero, lanes)
        loaded = [k.load(buffer, at + offset, lanes) for offset in offsets]
        found = [stored.astype(f"int32x{lanes}") - zeros for stored in loaded]
    else:  # 16 stored bytes, subtracted in int16, which holds any difference
        zeros = splat(zero.astype("int16"), 8)
        halves = split(k.let(k.load(buffer, at, 16)), "int8", 16, 8)
        eights = [k.let(half.astype("int16x8") - zeros) for half in halves]
        found = [four.astype("int32x4") for eight in eights for four in split(eight, "int16", 8, 4)]
    return [value.astype(f"float32x{lanes}") for value in found]
