"""Goes over the vectors of a row of pixels, four at a time, because four are narrowed to bytes together."""

from collections.abc import Iterator, Sequence

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.wide_numbers import split, with_offset

_TOGETHER = 4

Vectors = list[tuple[int, int]]
"""How many pixels and channels each vector is from a place."""
Block = tuple[Expr, Expr, Vectors]
"""A pixel, a channel of it, and the vectors from there on."""


def blocks(k: Emitter, width: int, channels: int, lanes: int) -> Iterator[Block]:
    """Emit loops over all vectors: of a pixel's channels where they are four or more, else of four pixels."""
    vectors = channels // lanes
    if vectors >= _TOGETHER or width == 1:
        with k.loop(width) as column:
            for vector, count in by_four(k, vectors):
                yield column, vector * lanes, [(0, i * lanes) for i in range(count)]
    else:
        with k.loop(vectors) as vector:
            for column, count in by_four(k, width):
                yield column, vector * lanes, [(i, 0) for i in range(count)]


def in_one_run(width: int, channels: int, *operands: Strides) -> tuple[int, int]:
    """Pixels and channels of a row; one pixel where a row is one run of numbers in all operands."""
    together = {strides.pixel for strides in operands} == {channels}
    return (1, width * channels) if together else (width, channels)


def by_four(k: Emitter, count: int) -> Iterator[tuple[Expr, int]]:
    """Go over `count` things, four at a time and then the rest: the first, and how many."""
    with k.loop(count // _TOGETHER) as four:
        yield four * _TOGETHER, _TOGETHER
    if rest := count % _TOGETHER:
        yield tirx.const(count - rest, "int64"), rest


def centred(
    k: Emitter, isa: Isa, pointer: str, strides: Strides, at: Expr, places: Sequence[int], offset: Expr
) -> list[Expr]:
    """What is stored at `pointer`, `at` + each place, with an offset added, as vectors of float32.

    The offset is minus their zero point. On ARM the places are those of neighbours.
    """
    lanes, buffer = isa.lanes, k.numbers(pointer, strides)
    if not isa.signed:
        offsets = splat(offset, lanes)
        loaded = [k.load(buffer, at + place, lanes) for place in places]
        found = [stored.astype(f"int32x{lanes}") + offsets for stored in loaded]
    elif strides.low or strides.words:
        planes = [k.let(k.load(buffer, at + plane, 16)) for plane in strides.planes]
        found = with_offset(k, planes, 16, splat(offset, lanes))
    else:  # 16 stored bytes, added up in int16, which holds any difference
        offsets = splat(offset.astype("int16"), 8)
        halves = split(k.let(k.load(buffer, at, 16)), "int8", 16, 8)
        eights = [k.let(half.astype("int16x8") + offsets) for half in halves]
        found = [four.astype("int32x4") for eight in eights for four in split(eight, "int16", 8, 4)]
    return [value.astype(f"float32x{lanes}") for value in found]
