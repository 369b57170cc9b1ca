"""The end of every kernel: int32 sums to stored bytes, as the numeric contract says.

The parameter block p is int32 bias [C], float32 multiplier [C], then the scalars of `Scalar`, and float32
factors [C] where a function is applied to sums. Rounding is to nearest, ties to even.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import Isa
from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.function_steps import in_steps

_LARGEST = 2147483520.0  # the float32 below 2**31
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
    packed_order: bool = False
    """Channels are in registers in the order from which x86 packs bytes into their own."""
    function: RegisterFunction | None = None
    """The function that is applied to sums before they are rounded."""
    low: int = 0
    """From a result's high byte to its low byte; 0 where results have 8 bits."""

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
        """float32(r - zr) * mr for `lanes` stored residual values."""
        lanes = self.isa.lanes
        centred = stored.astype(f"int32x{lanes}") + self.scalar(k, Scalar.RESIDUAL_OFFSET, lanes)
        return centred.astype(f"float32x{lanes}") * self.scalar(k, Scalar.RESIDUAL_MULTIPLIER, lanes)

    def wide_addend(self, k: Emitter, high: Expr, low: Expr) -> Expr:
        """The addend of `lanes` residual values of 16 bits."""
        lanes = self.isa.lanes
        centred = joined(high, low, lanes) + self.scalar(k, Scalar.RESIDUAL_OFFSET, lanes)
        return centred.astype(f"float32x{lanes}") * self.scalar(k, Scalar.RESIDUAL_MULTIPLIER, lanes)

    def addends(self, k: Emitter, stored: Expr, count: int) -> list[Expr]:
        """ARM: the addends of `count` stored values, added up in int16, which holds any r - zr."""
        offset = self.scalar(k, Scalar.RESIDUAL_OFFSET, 8).astype("int16x8")
        multiplier = self.scalar(k, Scalar.RESIDUAL_MULTIPLIER, 4)
        found = []
        for eight in split(stored, "int8", count, min(count, 8)):
            width = min(count, 8)
            offsets = offset if width == 8 else tirx.vectorlow("int16x4", offset)
            centred = k.let(eight.astype(f"int16x{width}") + offsets)
            found += split(centred, "int16", width, 4)
        return [four.astype("int32x4").astype("float32x4") * multiplier for four in found]

    def one_addend(self, k: Emitter, stored: Expr) -> Expr:
        """The addend of `lanes` stored residual values, as each instruction set subtracts best."""
        return self.addends(k, stored, self.isa.lanes)[0] if self.isa.signed else self.addend(k, stored)

    def store(
        self, k: Emitter, base: Expr, offsets: Sequence[int], values: Sequence[Expr], count: int | None = None
    ) -> None:
        """Round float vectors, add the zero point, clamp and write each at `base` + its offset.

        Four vectors are narrowed together. `count` limits what is written of the last one.
        """
        for first in range(0, len(values), 4):
            at = offsets[first : first + 4]
            for plane, stored in enumerate(self.planes(k, values[first : first + 4])):
                self._write(k, base + plane * self.low if plane else base, at, stored, 4, count)

    def store_from_last(self, k: Emitter, addresses: Sequence[Expr], values: Sequence[Expr]) -> None:
        """Round float vectors, and write each at its own address, the last one first."""
        lanes = self.isa.lanes
        groups = range(0, len(values), 4)
        narrowed = [self.narrow(k, values[first : first + 4]) for first in groups]
        for first, stored in reversed(list(zip(groups, narrowed, strict=True))):
            if self.isa.signed:
                words = k.let(tirx.reinterpret("int32x4", stored))
                parts = [tirx.reinterpret("int8x4", tirx.Shuffle([words], [i])) for i in range(4)]
            else:
                parts = split(stored, k.element, 4 * lanes, lanes)
            some = addresses[first : first + 4]
            for address, part in reversed(list(zip(some, parts[: len(some)], strict=True))):
                k.store(k.y, address, part, lanes)

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
        """Up to four float vectors as bytes; of results of 16 bits the high ones, and the low ones."""
        if not self.low:
            return [self.narrow(k, values)]
        words = [k.let(self._word(k, self._round(k, value))) for value in values]
        words += words[-1:] * (4 - len(words))
        eight, byte = (splat(tirx.const(value, "int32"), self.isa.lanes) for value in (8, 255))
        pack = replace(self, limits=ResultRange(short=True, clip=False, from_zero=True))
        halves = [tirx.shift_right(word, eight) for word in words], [word & byte for word in words]
        return [k.let(pack._packed(k, half)) for half in halves]

    def _word(self, k: Emitter, rounded: Expr) -> Expr:
        """Add the zero point and clamp, in int32."""
        zero, low, high = (
            self.scalar(k, which, self.isa.lanes) for which in (Scalar.ZERO, Scalar.LOW, Scalar.HIGH)
        )
        return tirx.min(tirx.max(rounded, low - zero), high - zero) + zero

    def _packed(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        return self._narrow_signed(k, rounded) if self.isa.signed else self._narrow(k, rounded)

    def _write(
        self, k: Emitter, base: Expr, offsets: Sequence[int], stored: Expr, vectors: int, count: int | None
    ) -> None:
        """Write the vectors that have an offset, neighbours with one instruction."""
        lanes = self.isa.lanes
        neighbours = all(at == offsets[0] + i * lanes for i, at in enumerate(offsets))
        apart = all(b != a + lanes for a, b in pairwise(offsets))
        if count is not None and vectors == 1:
            for i in range(count):
                k.store(k.y, base + (offsets[0] + i), tirx.Shuffle([stored], [i]))
        elif neighbours and len(offsets) == vectors:
            k.store(k.y, base + offsets[0], stored, vectors * lanes)
        elif self.isa.signed and vectors == 4 and apart and count is None:
            # Lanes of the whole register: LLVM cuts smaller vectors up with general registers.
            words = k.let(tirx.reinterpret("int32x4", stored))
            for i, offset in enumerate(offsets):
                four = tirx.reinterpret("int8x4", tirx.Shuffle([words], [i]))
                k.store(k.y, base + offset, four, lanes)
        else:
            half = vectors // 2
            for part, at in ((tirx.vectorlow, offsets[:half]), (tirx.vectorhigh, offsets[half:])):
                if at:
                    self._write(k, base, at, part(f"{k.element}x{half * lanes}", stored), half, count)

    def _round(self, k: Emitter, value: Expr) -> Expr:
        lanes = self.isa.lanes
        if self.isa.signed:  # saturates by itself
            return k.call("int32x4", "llvm.aarch64.neon.fcvtns.v4i32.v4f32", value)
        if self.limits.guard:
            value = tirx.min(value, splat(tirx.const(_LARGEST, "float32"), lanes))
        if lanes == 4:
            return k.call("int32x4", "llvm.x86.sse2.cvtps2dq", value)
        if lanes == 8:
            return k.call("int32x8", "llvm.x86.avx.cvt.ps2dq.256", value)
        nothing, everything = splat(tirx.const(0, "int32"), 16), tirx.const(0xFFFF, "uint16")
        current = tirx.const(4, "int32")  # rounding as the mode register says: to nearest even
        return k.call("int32x16", "llvm.x86.avx512.mask.cvtps2dq.512", value, nothing, everything, current)

    def _narrow(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        """x86: pack to int16, add the zero point, pack to uint8, saturating; then undo the interleaving."""
        lanes = self.isa.lanes
        kind, suffix = {4: ("sse2", ".128"), 8: ("avx2", ""), 16: ("avx512", ".512")}[lanes]
        pack16, pack8 = f"llvm.x86.{kind}.packssdw{suffix}", f"llvm.x86.{kind}.packuswb{suffix}"
        shorts = [k.call(f"int16x{2 * lanes}", pack16, a, b) for a, b in _pairs(rounded)]
        if not self.limits.from_zero:
            shift = self.scalar(k, Scalar.ZERO, 2 * lanes).astype(f"int16x{2 * lanes}")
            shorts = [
                k.call(f"int16x{2 * lanes}", f"llvm.sadd.sat.v{2 * lanes}i16", v, shift) for v in shorts
            ]
        bytes_ = k.call(f"uint8x{4 * lanes}", pack8, *shorts)
        if self.packed_order:
            return self._clipped(k, bytes_, 4 * lanes)
        packed = k.let(tirx.reinterpret(f"int32x{lanes}", bytes_))
        order = [part * 4 + vector for vector in range(4) for part in range(lanes // 4)]
        stored = tirx.reinterpret(f"uint8x{4 * lanes}", tirx.Shuffle([packed], order))
        return self._clipped(k, stored, 4 * lanes)

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


def joined(high: Expr, low: Expr, lanes: int) -> Expr:
    """256 * high byte + low byte, int32."""
    eight = splat(tirx.const(8, "int32"), lanes)
    return tirx.shift_left(high.astype(f"int32x{lanes}"), eight) + low.astype(f"int32x{lanes}")


def _pairs(values: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
    return list(zip(values[0::2], values[1::2], strict=True))


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
