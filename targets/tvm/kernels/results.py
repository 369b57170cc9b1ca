"""Writes a convolution's sums: adds residuals, rounds, and stores bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr
from targets.tvm.kernels.inner_step import Accumulators, InnerStep
from targets.tvm.kernels.requantise import Requantise
from targets.tvm.kernels.strides import Strides


@dataclass(frozen=True)
class Results:
    """Writes blocks of sums to `y`, with the `residual` added where there is one; or float `logits`.

    `last`: the row that stands for any below it. What is computed for those is overwritten by its own.
    """

    requantise: Requantise
    inner: InnerStep
    y: Strides
    residual: Strides | None
    logits: bool
    last: int | None

    def emit(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Write the results of a block."""
        if self.logits:
            self._logits(k, acc, block)
        elif self.inner.pair == 2:
            self._pairs(k, acc, block)
        else:
            self._pixels(k, acc, block)

    def _logits(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        for p, (dy, dx) in reversed(list(enumerate(block.places))):  # the upper row last
            at = k.let(self._at(self.y, block, dy, dx))
            for n, value in enumerate(self._values(k, acc, block, p, [None] * block.vectors)):
                k.store(k.view_logits, at + n * self._lanes, value, self._lanes)

    def _pixels(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        base = k.let(self._at(self.y, block, 0, 0))
        offsets, values = [], []
        for p, (dy, dx) in enumerate(block.places):
            addends: list[Expr | None] = [None] * block.vectors
            if self.residual:
                addends = list(self._addends(k, self._at(self.residual, block, dy, dx), block.vectors))
            values += self._values(k, acc, block, p, addends)
            at = dy * self.y.row + dx * self.y.pixel
            offsets += [at + n * self._lanes for n in range(block.vectors)]
        self.requantise.store(k, base, offsets, values)

    def _values(
        self, k: Emitter, acc: Buffer, block: Accumulators, pixel: int, addends: list[Expr | None]
    ) -> list[Expr]:
        """One pixel's sums in steps of the result, before rounding."""
        totals = [self.inner.result(k, acc, pixel, n, block) for n in range(block.vectors)]
        channels = [block.channel + n * self._lanes for n in range(block.vectors)]
        multipliers = [self.requantise.multipliers(k, channel) for channel in channels]
        sums = zip(totals, multipliers, addends, strict=True)
        return [self.requantise.result(k, total, m, addend) for total, m, addend in sums]

    @property
    def _lanes(self) -> int:
        return self.requantise.isa.lanes

    def _at(self, strides: Strides, block: Accumulators, dy: int, dx: int) -> Expr:
        row = block.row + dy
        if self.last is not None:
            row = tirx.min(row, tirx.const(self.last, "int64"))
        return row * strides.row + (block.column + dx) * strides.pixel + block.channel

    def _addends(self, k: Emitter, at: Expr, vectors: int) -> list[Expr]:
        lanes, requantise, residual = self._lanes, self.requantise, self.residual
        assert residual is not None  # noqa: S101 -- whoever asks has one
        pieces = _powers(vectors * lanes)
        if not requantise.isa.signed:
            pieces = [(n * lanes, lanes) for n in range(vectors)]
        found = (requantise.residuals(k, residual, at + offset, count) for offset, count in pieces)
        return [addend for piece in found for addend in piece]

    def _pairs(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Registers hold two channels of two pixels; they are put apart when they have been rounded."""
        requantise, count = self.requantise, 2 * block.vectors
        multipliers = [requantise.pair_multipliers(k, block.channel + 2 * n).named(k) for n in range(count)]
        for pair, both in enumerate(zip(block.places[0::2], block.places[1::2], strict=True)):
            totals = [k.load(acc, pair * count + n) for n in range(count)]
            addends: list[Expr | None] = [None] * count
            if self.residual:
                at = [self._at(self.residual, block, dy, dx) for dy, dx in both]
                addends = list(self._pair_addends(k, at, count))
            sums = zip(totals, multipliers, addends, strict=True)
            values = [requantise.result(k, t, m, a) for t, m, a in sums]
            together = requantise.together
            parts = [values[first : first + together] for first in range(0, count, together)]
            groups = [requantise.planes(k, part) for part in parts]
            planes = list(zip(self.y.planes, zip(*groups, strict=True), strict=True))
            for which in (1, 0):  # the upper row last
                y = self._at(self.y, block, *both[which])
                for plane, stored in planes:
                    self._write_one(k, y + plane if plane else y, stored, which, count)

    def _write_one(self, k: Emitter, y: Expr, stored: Sequence[Expr], which: int, count: int) -> None:
        """Write the numbers of one pixel of a pair, of which each of `count` registers held two channels."""
        one, two, most = _units(self.y)
        twos = [tirx.reinterpret(f"{two}x{most}", part) for part in stored]
        for first, size in _powers(count, most):
            order = [2 * i + which for i in range(first, first + size)]
            part = tirx.reinterpret(f"{one}x{2 * size}", tirx.Shuffle(twos, order))
            k.store(k.numbers("y", self.y), y + 2 * first, part, 2 * size)

    def _pair_addends(self, k: Emitter, at: list[Expr], count: int) -> Iterator[Expr]:
        """Residuals of two pixels in the order of the registers: two channels of one, two of the other."""
        residual = self.residual
        assert residual is not None  # noqa: S101 -- whoever asks has one
        one, two, most = _units(residual)
        r = k.numbers("r", residual)
        for first, size in _powers(count, most):
            places = [[a + (2 * first + plane) for a in at] for plane in residual.planes]
            planes = [
                [tirx.reinterpret(f"{two}x{size}", k.load(r, place, 2 * size)) for place in both]
                for both in places
            ]
            for begin in range(0, size, 4):
                taken = range(begin, min(begin + 4, size))
                order = [i for n in taken for i in (n, size + n)]
                numbers = 2 * len(order)
                stored = [tirx.reinterpret(f"{one}x{numbers}", tirx.Shuffle(both, order)) for both in planes]
                yield from self.requantise.addends(k, stored, numbers, residual.words)


def _units(strides: Strides) -> tuple[str, str, int]:
    """ARM: the type of an element, of two neighbours seen as one, and how many of these a register holds."""
    return ("int16", "int32", 4) if strides.words else ("int8", "int16", 8)


def _powers(count: int, largest: int = 16) -> list[tuple[int, int]]:
    """Cut `count` elements into pieces of a power of two: pairs of first element and size."""
    pieces, first = [], 0
    while first < count:
        size = min(largest, 1 << ((count - first).bit_length() - 1))
        pieces.append((first, size))
        first += size
    return pieces
