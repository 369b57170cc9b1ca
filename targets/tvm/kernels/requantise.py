"""The end of every kernel: int32 sums to stored bytes, as the numeric contract says.

The parameter block p is int32 bias [C], float32 multiplier [C], then the scalars of `Scalar`, and float32
factors [C] where a function is applied to sums. Rounding is to nearest, ties to even.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import CENTRE, Isa
from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.function_steps import in_steps
from targets.tvm.kernels.register_order import (
    TOGETHER,
    Groups,
    as_bytes,
    as_words,
    interleaved,
    one_after_the_other,
)
from targets.tvm.kernels.strides import BYTES, Strides
from targets.tvm.kernels.wide_numbers import split, with_offset

_LARGEST = float(1 << 30)
"""Larger results are beyond every bound; with a zero point added this one still fits int32."""
_INTEGERS = 1.5 * 2**23
"""Where float32 holds just the integers: a sum with it is rounded, and its low bits are an integer."""


class Scalar(IntEnum):
    """Position in the parameter block behind biases and multipliers; the last one is a float32."""

    ZERO = 0
    LOW = 1
    HIGH = 2
    RESIDUAL_OFFSET = 3
    """What is added to a stored residual: minus its zero point."""
    RESIDUAL_MULTIPLIER = 4


SCALARS = 16
"""Scalars are padded to a cache line."""


@dataclass(frozen=True)
class ResultRange:
    """Bounds on results that are known at build time. The defaults hold for any result."""

    guard: bool = False
    """They may exceed int32, and have to be limited where rounding does not saturate."""
    short: bool = False
    """They fit int16 before the zero point is added, also if they are stored 128 lower."""
    clip: bool = True
    """Their bounds are tighter than those of their type."""
    from_zero: bool = False
    """Their zero point is 0 in uint8, as it is behind a ReLU."""


@dataclass(frozen=True)
class Multipliers:
    """Of a vector of sums; `factor` of a function's results, where one is applied."""

    sums: Expr
    factor: Expr | None = None

    def named(self, k: Emitter) -> "Multipliers":
        """The same, loaded once."""
        return Multipliers(k.let(self.sums), None if self.factor is None else k.let(self.factor))


@dataclass(frozen=True)
class Requantise:
    """Turns sums of `channels` channels into bytes."""

    isa: Isa
    channels: int
    limits: ResultRange = ResultRange()
    per_channel: bool = True
    interleaved: int = 0
    """How many registers take turns in having four channels; 0: each has the next channels."""
    function: RegisterFunction | None = None
    """The function that is applied to sums before they are rounded."""
    y: Strides = BYTES
    """How results are stored: as bytes, as int16, or as high and low bytes apart."""

    def scalar(self, k: Emitter, which: Scalar, lanes: int) -> Expr:
        """One of the scalars, in every lane."""
        view = k.floats if which is Scalar.RESIDUAL_MULTIPLIER else k.ints
        return splat(k.load(view, 2 * self.channels + which), lanes)

    def multiplier(self, k: Emitter, channel: Expr) -> Expr:
        """The multipliers of `lanes` channels; of the only channel where there is one for all."""
        lanes = self.isa.lanes
        if self.per_channel:
            return k.load(k.floats, self.channels + channel, lanes)
        return splat(k.load(k.floats, self.channels), lanes)

    def scaled(self, k: Emitter, total: Expr, multiplier: Expr, addend: Expr | None = None) -> Expr:
        """float32(total) * multiplier, with a residual in the same rounding."""
        value = total.astype(f"float32x{self.isa.lanes}")
        if addend is None:
            return value * multiplier
        return k.call(
            f"float32x{self.isa.lanes}", f"llvm.fma.v{self.isa.lanes}f32", value, multiplier, addend
        )

    def multipliers(self, k: Emitter, channel: Expr) -> Multipliers:
        """What the sums of `lanes` channels of a convolution are multiplied by."""
        return Multipliers(self.multiplier(k, channel), self._factor(k, channel, self.isa.lanes))

    def pair_multipliers(self, k: Emitter, channel: Expr) -> Multipliers:
        """Those of two channels, for both pixels of a pair."""

        def both(two: Expr | None) -> Expr | None:
            return None if two is None else tirx.Shuffle([two, two], [0, 1, 0, 1])

        sums = k.load(k.floats, self.channels + channel, 2)
        return Multipliers(both(sums), both(self._factor(k, channel, 2)))

    def result(self, k: Emitter, total: Expr, multipliers: Multipliers, addend: Expr | None = None) -> Expr:
        """A convolution's sum in steps of its result: scaled, or a function of what it is in real units."""
        found = self.scaled(k, total, multipliers.sums, addend)
        if self.function is None or multipliers.factor is None:
            return found
        return in_steps(k, self.function, found, multipliers.factor, self.isa.lanes)

    def _factor(self, k: Emitter, channel: Expr, lanes: int) -> Expr | None:
        if self.function is None:
            return None
        return k.load(k.floats, 2 * self.channels + SCALARS + channel, lanes)

    def addend(self, k: Emitter, stored: Expr) -> Expr:
        """x86: float32(r - zr) * mr for `lanes` stored residual values, bytes or int16."""
        lanes = self.isa.lanes
        centred = stored.astype(f"int32x{lanes}") + self.scalar(k, Scalar.RESIDUAL_OFFSET, lanes)
        return centred.astype(f"float32x{lanes}") * self.scalar(k, Scalar.RESIDUAL_MULTIPLIER, lanes)

    def residuals(self, k: Emitter, stored: Strides, at: Expr, count: int) -> list[Expr]:
        """The addends of `count` neighbours of a residual, `lanes` each. x86: `count` is `lanes`."""
        r = k.numbers("r", stored)
        planes = [k.load(r, at + offset if offset else at, count) for offset in stored.planes]
        if not self.isa.signed:
            return [self.addend(k, *planes)]
        return self.addends(k, planes, count, stored.words)

    def addends(self, k: Emitter, planes: Sequence[Expr], count: int, words: bool = False) -> list[Expr]:
        """ARM: the addends of `count` numbers, of bytes, of high and low ones, or of int16."""
        planes, multiplier = [k.let(plane) for plane in planes], self.scalar(k, Scalar.RESIDUAL_MULTIPLIER, 4)
        if words or len(planes) > 1:
            centred = with_offset(k, planes, count, self.scalar(k, Scalar.RESIDUAL_OFFSET, 4))
        else:
            centred = self._centred(k, planes[0], count)
        return [four.astype("float32x4") * multiplier for four in centred]

    def _centred(self, k: Emitter, stored: Expr, count: int) -> list[Expr]:
        """ARM: r - zr of bytes, added up in int16, which holds any."""
        offset = self.scalar(k, Scalar.RESIDUAL_OFFSET, 8).astype("int16x8")
        width, found = min(count, 8), []
        for eight in split(stored, "int8", count, width):
            offsets = offset if width == 8 else tirx.vectorlow("int16x4", offset)
            found += split(k.let(eight.astype(f"int16x{width}") + offsets), "int16", width, 4)
        return [four.astype("int32x4") for four in found]

    @property
    def together(self) -> int:
        """Float vectors that are narrowed together: four to bytes, two to int16."""
        return 2 if self.y.words else TOGETHER

    def store(
        self, k: Emitter, base: Expr, offsets: Sequence[int], values: Sequence[Expr], count: int | None = None
    ) -> None:
        """Round float vectors, add the zero point, clamp and write each at `base` + its offset.

        `count` limits what is written of the last.
        """
        together = self.together
        for first in range(0, len(values), together):
            at, some = offsets[first : first + together], values[first : first + together]
            for plane, stored in zip(self.y.planes, self.planes(k, some), strict=True):
                self._write(k, base + plane if plane else base, at, stored, together, count)

    def store_from_last(self, k: Emitter, addresses: Sequence[Expr], values: Sequence[Expr]) -> None:
        """Round float vectors, and write each at its own address, the last one first."""
        y, together = k.numbers("y", self.y), self.together
        groups = range(0, len(values), together)
        narrowed = [self.planes(k, values[first : first + together]) for first in groups]
        for first, planes in reversed(list(zip(groups, narrowed, strict=True))):
            some = addresses[first : first + together]
            for plane, stored in zip(self.y.planes, planes, strict=True):
                parts = self._apart(k, stored)[: len(some)]
                for address, part in reversed(list(zip(some, parts, strict=True))):
                    k.store(y, address + plane if plane else address, part, self.isa.lanes)

    def _apart(self, k: Emitter, stored: Expr) -> list[Expr]:
        """What was narrowed together, vector by vector."""
        lanes, together = self.isa.lanes, self.together
        if self.y.words or not self.isa.signed:
            return split(stored, "int16" if self.y.words else k.element, together * lanes, lanes)
        words = k.let(tirx.reinterpret("int32x4", stored))
        return [tirx.reinterpret("int8x4", tirx.Shuffle([words], [i])) for i in range(together)]

    def narrow(self, k: Emitter, values: Sequence[Expr]) -> Expr:
        """Up to four float vectors as one of bytes; the last one is repeated where there are fewer."""
        values = [*values, *[values[-1]] * (4 - len(values))]
        if self.isa.signed and self.limits.short and self.limits.from_zero:
            return k.let(self._clipped(k, self._by_adding(k, values), 16))
        return k.let(self._packed(k, [self._round(k, value) for value in values]))

    def _by_adding(self, k: Emitter, values: Sequence[Expr]) -> Expr:
        """ARM: round by an addition, whose low 16 bits are a result that is stored 128 lower.

        128 is even, so that ties are rounded as they are without it. The fence keeps LLVM from making one
        operation, which rounds once, of a product and this sum.
        """
        lowered = splat(tirx.const(_INTEGERS - 128, "float32"), 4)
        apart = [k.call("float32x4", "llvm.arithmetic.fence.v4f32", value) for value in values]
        words = [tirx.reinterpret("int32x4", value + lowered) for value in apart]
        eights = [tirx.vectorcombine("int32x8", a, b).astype("int16x8") for a, b in _pairs(words)]
        return self._saturated(k, eights)

    def planes(self, k: Emitter, values: Sequence[Expr]) -> list[Expr]:
        """Up to four float vectors as bytes; where these lie apart the high ones, and the low ones.

        Where results are int16, up to two vectors as those.
        """
        if self.y.words:
            return self.words(k, values)
        if not self.y.low:
            return [self.narrow(k, values)]
        words = self.words(k, [*values, *[values[-1]] * (4 - len(values))])
        both = [tirx.reinterpret("int8x16", word) for word in words]
        high, low = (tirx.Shuffle(both, list(range(first, 32, 2))) for first in (1, 0))
        return [k.let(high), k.let(low ^ splat(tirx.const(-128, "int8"), 16))]

    def words(self, k: Emitter, values: Sequence[Expr]) -> list[Expr]:
        """Two or four float vectors as int16, in the order of channels; a single one twice.

        From a zero point of 0 on they are uint16, which is centred then: there is nothing to add before.
        """
        values = [*values, *[values[-1]] * (len(values) % 2)]
        dtype = f"int16x{2 * self.isa.lanes}"
        rounded = [self._round(k, value) for value in values]
        if self.limits.from_zero:
            centre = splat(tirx.const(-CENTRE, "int16"), 2 * self.isa.lanes)
            words = [self._pack_words(k, *pair, signed=False) ^ centre for pair in _pairs(rounded)]
        else:
            shifted = [self._with_zero(k, value) for value in rounded]
            words = [self._pack_words(k, *pair, signed=True) for pair in _pairs(shifted)]
        if self.limits.clip:
            bounds = (self.scalar(k, which, 2 * self.isa.lanes) for which in (Scalar.LOW, Scalar.HIGH))
            low, high = (bound.astype(dtype) for bound in bounds)
            words = [tirx.min(tirx.max(word, low), high) for word in words]
        return self._words_in_order(k, [k.let(word) for word in words])

    def _with_zero(self, k: Emitter, rounded: Expr) -> Expr:
        """Add the zero point, in int32. On ARM what is rounded may be at the ends of int32."""
        zero = self.scalar(k, Scalar.ZERO, self.isa.lanes)
        return k.call("int32x4", "llvm.sadd.sat.v4i32", rounded, zero) if self.isa.signed else rounded + zero

    def _pack_words(self, k: Emitter, a: Expr, b: Expr, signed: bool) -> Expr:
        """Two vectors of int32 as one of int16 or uint16, saturating; on x86 interleaved."""
        lanes = self.isa.lanes
        if self.isa.signed:
            name = f"llvm.aarch64.neon.{'sqxtn' if signed else 'sqxtun'}.v4i16"
            return tirx.vectorcombine("int16x8", *(k.call("int16x4", name, value) for value in (a, b)))
        if signed:
            name = {4: "sse2.packssdw.128", 8: "avx2.packssdw", 16: "avx512.packssdw.512"}[lanes]
        else:
            name = {4: "sse41.packusdw", 8: "avx2.packusdw", 16: "avx512.packusdw.512"}[lanes]
        return k.call(f"int16x{2 * lanes}", f"llvm.x86.{name}", a, b)

    def _words_in_order(self, k: Emitter, words: list[Expr]) -> list[Expr]:
        """Undo the interleaving."""
        lanes = self.isa.lanes
        order = as_words(self._groups[: 2 * len(words)])
        if self.isa.signed or order == sorted(order):
            return words
        fours = [tirx.reinterpret(f"int64x{lanes // 2}", word) for word in words]
        return [
            k.let(tirx.reinterpret(f"int16x{2 * lanes}", tirx.Shuffle(fours, order[at : at + lanes // 2])))
            for at in range(0, len(order), lanes // 2)
        ]

    def _packed(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        return self._narrow_signed(k, rounded) if self.isa.signed else self._narrow(k, rounded)

    def _write(
        self, k: Emitter, base: Expr, offsets: Sequence[int], stored: Expr, vectors: int, count: int | None
    ) -> None:
        """Write the vectors that have an offset, neighbours with one instruction."""
        lanes, y, element = self.isa.lanes, k.numbers("y", self.y), "int16" if self.y.words else k.element
        neighbours = all(at == offsets[0] + i * lanes for i, at in enumerate(offsets))
        apart = all(b != a + lanes for a, b in pairwise(offsets))
        if count is not None and vectors == 1:
            for i in range(count):
                k.store(y, base + (offsets[0] + i), tirx.Shuffle([stored], [i]))
        elif neighbours and len(offsets) == vectors:
            k.store(y, base + offsets[0], stored, vectors * lanes)
        elif self.isa.signed and vectors == 4 and apart and count is None:
            # Lanes of the whole register: LLVM cuts smaller vectors up with general registers.
            words = k.let(tirx.reinterpret("int32x4", stored))
            for i, offset in enumerate(offsets):
                four = tirx.reinterpret("int8x4", tirx.Shuffle([words], [i]))
                k.store(y, base + offset, four, lanes)
        else:
            half = vectors // 2
            for part, at in ((tirx.vectorlow, offsets[:half]), (tirx.vectorhigh, offsets[half:])):
                if at:
                    self._write(k, base, at, part(f"{element}x{half * lanes}", stored), half, count)

    def _round(self, k: Emitter, value: Expr) -> Expr:
        lanes = self.isa.lanes
        if self.isa.signed:  # saturates by itself
            return k.call("int32x4", "llvm.aarch64.neon.fcvtns.v4i32.v4f32", value)
        if self.limits.guard:
            value = tirx.min(value, splat(tirx.const(_LARGEST, "float32"), lanes))
            if self.y.words:
                value = tirx.max(value, splat(tirx.const(-_LARGEST, "float32"), lanes))
        if lanes == 4:
            return k.call("int32x4", "llvm.x86.sse2.cvtps2dq", value)
        if lanes == 8:
            return k.call("int32x8", "llvm.x86.avx.cvt.ps2dq.256", value)
        nothing, everything = splat(tirx.const(0, "int32"), 16), tirx.const(0xFFFF, "uint16")
        current = tirx.const(4, "int32")  # rounding as the mode register says: to nearest even
        return k.call("int32x16", "llvm.x86.avx512.mask.cvtps2dq.512", value, nothing, everything, current)

    def _narrow(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        """x86: pack to int16, add the zero point, pack to uint8, saturating."""
        lanes = self.isa.lanes
        shorts = [self._pack_words(k, a, b, signed=True) for a, b in _pairs(rounded)]
        if not self.limits.from_zero:
            shift = self.scalar(k, Scalar.ZERO, 2 * lanes).astype(f"int16x{2 * lanes}")
            shorts = [
                k.call(f"int16x{2 * lanes}", f"llvm.sadd.sat.v{2 * lanes}i16", v, shift) for v in shorts
            ]
        stored = self._bytes(k, shorts)
        return self._clipped(k, stored, (self.interleaved or TOGETHER) * lanes)

    def _bytes(self, k: Emitter, words: Sequence[Expr]) -> Expr:
        """x86: pack two vectors of words, and undo the interleaving of this and the pack before it."""
        lanes = self.isa.lanes
        pack = {4: "sse2.packuswb.128", 8: "avx2.packuswb", 16: "avx512.packuswb.512"}[lanes]
        packed = k.call(f"uint8x{4 * lanes}", f"llvm.x86.{pack}", *words)
        order = as_bytes(self._groups)
        if order == list(range(lanes)):
            return packed
        fours = k.let(tirx.reinterpret(f"int32x{lanes}", packed))
        return tirx.reinterpret(f"uint8x{4 * len(order)}", tirx.Shuffle([fours], order))

    @property
    def _groups(self) -> Groups:
        """The channels that registers have."""
        return (
            interleaved(self.interleaved, self.isa.lanes)
            if self.interleaved
            else one_after_the_other(self.isa.lanes)
        )

    def _narrow_signed(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        """ARM: the same with instructions that do not interleave."""
        if self.limits.short:
            eights = [tirx.vectorcombine("int32x8", a, b).astype("int16x8") for a, b in _pairs(rounded)]
        else:
            fours = [k.call("int16x4", "llvm.aarch64.neon.sqxtn.v4i16", value) for value in rounded]
            eights = [tirx.vectorcombine("int16x8", a, b) for a, b in _pairs(fours)]
        if self.limits.from_zero:  # as uint8, then 128 lower
            halves = [k.call("int8x8", "llvm.aarch64.neon.sqxtun.v8i8", v) for v in eights]
            stored = tirx.vectorcombine("int8x16", *halves) ^ splat(tirx.const(-128, "int8"), 16)
            return self._clipped(k, stored, 16)
        shift = self.scalar(k, Scalar.ZERO, 8).astype("int16x8")
        shifted = [k.call("int16x8", "llvm.aarch64.neon.sqadd.v8i16", v, shift) for v in eights]
        return self._clipped(k, self._saturated(k, shifted), 16)

    def _saturated(self, k: Emitter, eights: Sequence[Expr]) -> Expr:
        """Two vectors of int16 as int8."""
        halves = [k.call("int8x8", "llvm.aarch64.neon.sqxtn.v8i8", v) for v in eights]
        return tirx.vectorcombine("int8x16", *halves)

    def _clipped(self, k: Emitter, stored: Expr, lanes: int) -> Expr:
        """Apply bounds that are tighter than the saturation of narrowing."""
        if not self.limits.clip:
            return stored
        dtype = f"{k.element}x{lanes}"
        low, high = (self.scalar(k, bound, lanes).astype(dtype) for bound in (Scalar.LOW, Scalar.HIGH))
        return tirx.min(tirx.max(stored, low), high)


def _pairs(values: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
    return list(zip(values[0::2], values[1::2], strict=True))
