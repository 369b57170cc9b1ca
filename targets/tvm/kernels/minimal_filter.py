"""Winograd's minimal filters F(m, r) in integers: m neighbouring results of r taps from m + r - 1 products.

Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", sections 4.1 and 4.3, with rows of
the weights' transform multiplied by what makes them integers: results come out `scale` times too large.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr, splat

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class MinimalFilter:
    """y = results ((weights g) * (inputs d)) is `scale` times the convolution of d with g.

    `shorter`: filters for fewer results, from the first of the same transformed weights.
    """

    scale: int
    weights: Matrix
    inputs: Matrix
    results: Matrix
    shorter: tuple["MinimalFilter", ...] = ()

    @property
    def outputs(self) -> int:
        """Results of a tile: m."""
        return len(self.results)

    @property
    def taps(self) -> int:
        """Taps of the convolution: r."""
        return len(self.weights[0])

    @property
    def points(self) -> int:
        """Products of a tile, and numbers that it reads: m + r - 1."""
        return len(self.inputs)


TWO = MinimalFilter(
    scale=2,
    weights=((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    results=((1, 1, 1, 0), (0, 1, -1, -1)),
)
"""F(2, 3), from the points 0, 1, -1 and infinity."""

_WEIGHTS = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (0, 0, 12), (1, 2, 4), (1, -2, 4))
"""At the points 0, 1, -1, infinity, 2 and -2. With 12 instead of 24 they stay in int16."""

_TWO_OF_FOUR = MinimalFilter(
    scale=24,
    weights=_WEIGHTS[:4],
    inputs=((4, 0, -4, 0), (0, -3, -3, 0), (0, 3, -3, 0), (0, -2, 0, 2)),
    results=((1, 1, 1, 0), (0, 1, -1, 1)),
)
"""F(2, 3) from weights that are transformed for F(4, 3)."""

_THREE_OF_FOUR = MinimalFilter(
    scale=24,
    weights=_WEIGHTS[:5],
    inputs=((4, -2, -4, 2, 0), (0, -6, -3, 3, 0), (0, 2, -3, 1, 0), (0, 4, -2, -4, 2), (0, -4, 0, 4, 0)),
    results=((1, 1, 1, 0, 1), (0, 1, -1, 0, 2), (0, 1, 1, 1, 4)),
)
"""F(3, 3) from the same weights."""

FOUR = MinimalFilter(
    scale=24,
    weights=_WEIGHTS,
    inputs=(
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, 4, 0, -5, 0, 1),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
    ),
    results=((1, 1, 1, 0, 1, 1), (0, 1, -1, 0, 2, -2), (0, 1, 1, 0, 4, 4), (0, 1, -1, 2, 8, -8)),
    shorter=(_TWO_OF_FOUR, _THREE_OF_FOUR),
)
"""F(4, 3), from the points 0, 1, -1, infinity, 2 and -2."""

THREE = MinimalFilter(
    scale=24,
    weights=((6, 0, 0, 0), (-4, -4, -4, -4), (-4, 4, -4, 4), (0, 0, 0, 12), (1, 2, 4, 8), (1, -2, 4, -8)),
    inputs=FOUR.inputs,
    results=((1, 1, 1, 0, 1, 1), (0, 1, -1, 0, 2, -2), (0, 1, 1, 2, 4, 4)),
)
"""F(3, 4), from the same points."""


IN_ALL = 1
"""The point 1, whose product is in all results as it is: what is added to it is added to each."""


@dataclass(frozen=True)
class TileFilter:
    """One filter for the rows of a tile and one for its columns: a two-dimensional one, nested."""

    rows: MinimalFilter
    columns: MinimalFilter

    @property
    def taps(self) -> int:
        """Taps of the two-dimensional convolution."""
        return self.rows.taps * self.columns.taps

    @property
    def points(self) -> int:
        """Products of a tile."""
        return self.rows.points * self.columns.points

    @property
    def scale(self) -> int:
        """How many times too large results are."""
        return self.rows.scale * self.columns.scale

    @property
    def power(self) -> int:
        """The power of two in `scale`: it stays in the sums, and is taken out of the multipliers."""
        return self.scale & -self.scale

    @property
    def inverse(self) -> int:
        """What undoes the rest of `scale` modulo 2**32."""
        return pow(self.scale // self.power, -1, 1 << 32)


def transform(
    k: Emitter, rows: Matrix, columns: Matrix, load: Callable[[int, int], Expr]
) -> Iterator[list[Expr]]:
    """Emit rows X columns^T, of vectors that `load` reads by row and column of X; yields row after row.

    Whoever writes a row at once spares registers: all that is between the two products does not fit them.
    """
    height, width = len(rows[0]), len(columns[0])
    read = [[load(i, j) for i in range(height)] for j in range(width)]
    pairs = _paired(rows)
    for first in range(len(rows)):
        if first - 1 in pairs:
            continue
        some = rows[first : first + (2 if first in pairs else 1)]
        half = [combine(k, some, column) for column in read]
        for i in range(len(some)):
            yield combine(k, columns, [column[i] for column in half])


def combine(k: Emitter, matrix: Matrix, values: Sequence[Expr]) -> list[Expr]:
    """Emit matrix times vectors. What two rows, or two columns, have in common is computed once."""
    weights = [list(row) for row in matrix]
    terms = list(values)
    for j in _paired([list(column) for column in zip(*matrix, strict=True)]):
        terms[j], terms[j + 1] = k.let(values[j] + values[j + 1]), k.let(values[j] - values[j + 1])
        for row in weights:
            same = row[j] == row[j + 1]
            row[j], row[j + 1] = (row[j], 0) if same else (0, row[j])
    found: list[Expr | None] = [None] * len(weights)
    for i in _paired(weights):
        first, second = weights[i], weights[i + 1]
        even = _sum(k, [a if a == b else 0 for a, b in zip(first, second, strict=True)], terms)
        odd = _sum(k, [a if a != b else 0 for a, b in zip(first, second, strict=True)], terms)
        found[i], found[i + 1] = k.let(even + odd), k.let(even - odd)
    return [
        _sum(k, row, terms) if value is None else value for row, value in zip(weights, found, strict=True)
    ]


def _paired(rows: Sequence[Sequence[int]]) -> list[int]:
    """First of two neighbouring rows that differ only in some signs, but not in all."""
    found: list[int] = []
    for i in range(len(rows) - 1):
        a, b = rows[i], rows[i + 1]
        equal = any(x == y != 0 for x, y in zip(a, b, strict=True))
        opposite = any(x == -y != 0 for x, y in zip(a, b, strict=True))
        if equal and opposite and list(map(abs, a)) == list(map(abs, b)) and i - 1 not in found:
            found.append(i)
    return found


def _sum(k: Emitter, weights: Sequence[int], values: Sequence[Expr]) -> Expr:
    """The sum of weights times values, what all weights have in common taken out."""
    terms = sorted(((w, v) for w, v in zip(weights, values, strict=True) if w), key=lambda t: t[0] < 0)
    common = gcd(*(w for w, _ in terms))
    if terms[0][0] < 0:
        common = -common
    total: Expr | None = None
    for weight, value in terms:
        term = _times(value, abs(weight // common))
        positive = weight // common > 0
        total = term if total is None else total + term if positive else total - term
    return k.let(_times(total, common))


def _times(value: Expr, factor: int) -> Expr:
    if factor == 1:
        return value
    dtype, lanes = str(value.ty).split("x")
    return value * splat(tirx.const(factor, dtype), int(lanes))


def transformed(matrix: Matrix, values: NDArray[Any]) -> NDArray[np.int64]:
    """The same as `combine`, for arrays of integers."""
    found: NDArray[np.int64] = np.tensordot(np.array(matrix), values.astype(np.int64), axes=1)
    return found
