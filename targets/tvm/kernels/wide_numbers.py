"""Numbers as they are stored, of 8 or 16 bits; and vectors cut into smaller ones."""

from collections.abc import Sequence

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.strides import Strides

_ABOVE_STORED = 128
"""By so much `_words_of` exceeds 256 * high + low, as stored: it takes the number's own low byte."""


def number(k: Emitter, pointer: str, strides: Strides, at: Expr, lanes: int = 1) -> Expr:
    """`lanes` neighbours as int32: 256 * high byte + low byte where these lie apart."""
    buffer, dtype = k.numbers(pointer, strides), "int32" if lanes == 1 else f"int32x{lanes}"
    found = k.load(buffer, at, lanes).astype(dtype)
    if not strides.low:
        return found
    times = tirx.const(256, "int32")
    times = times if lanes == 1 else splat(times, lanes)
    return found * times + k.load(buffer, at + strides.low, lanes).astype(dtype)


def with_offset(k: Emitter, planes: Sequence[Expr], count: int, offset: Expr) -> list[Expr]:
    """ARM: `count` neighbours, int16 or 256 * high byte + low byte, plus an offset, as vectors of four."""
    words, *low = planes
    if low:
        words = k.let(_words_of(words, low[0], count))
        offset = offset - splat(tirx.const(_ABOVE_STORED, "int32"), 4)
    return [four.astype("int32x4") + offset for four in split(words, "int16", count, 4)]


def _words_of(high: Expr, low: Expr, count: int) -> Expr:
    """ARM: numbers of 16 bits as int16, from their stored bytes."""
    unsigned = low ^ splat(tirx.const(-128, "int8"), count)
    order = [which * count + i for i in range(count) for which in range(2)]
    return tirx.reinterpret(f"int16x{count}", tirx.Shuffle([unsigned, high], order))


def split(values: Expr, dtype: str, lanes: int, into: int) -> list[Expr]:
    """Cut a vector of `lanes` elements of `dtype` into vectors of `into`."""
    if lanes == into:
        return [values]
    half = lanes // 2
    return [
        piece
        for part in (tirx.vectorlow, tirx.vectorhigh)
        for piece in split(part(f"{dtype}x{half}", values), dtype, half, into)
    ]
