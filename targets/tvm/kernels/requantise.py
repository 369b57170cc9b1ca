"""The end of every kernel: int32 sums to stored bytes, as the numeric contract says.

The parameter block p is int32 bias [C], float32 multiplier [C], then the scalars of `Scalar`. Rounding is to
nearest, ties to even.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.emitter import Emitter, Expr, splat

_LARGEST = 2147483520.0  # the float32 below 2**31


class Scalar(IntEnum):
    """Position in the parameter block behind biases and multipliers; the last one is a float32."""

    ZERO = 0
    LOW = 1
    HIGH = 2
    RESIDUAL_ZERO = 3
    RESIDUAL_MULTIPLIER = 4


SCALARS = 16
"""Scalars are padded to a cache line."""


@dataclass(frozen=True)
class Requantise:
    """Turns sums of `channels` channels into bytes.

    `guard`: products may exceed int32, so limit them. `clip`: results have tighter bounds than their type.
    """

    isa: Isa
    channels: int
    guard: bool = False
    clip: bool = True
    per_channel: bool = True

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

    def addend(self, k: Emitter, stored: Expr) -> Expr:
        """float32(r - zr) * mr for `lanes` stored residual values."""
        lanes = self.isa.lanes
        centred = stored.astype(f"int32x{lanes}") - self.scalar(k, Scalar.RESIDUAL_ZERO, lanes)
        return centred.astype(f"float32x{lanes}") * self.scalar(k, Scalar.RESIDUAL_MULTIPLIER, lanes)

    def store(
        self, k: Emitter, base: Expr, offsets: Sequence[int], values: Sequence[Expr], count: int | None = None
    ) -> None:
        """Round float vectors, add the zero point, clamp and write each at `base` + its offset.

        Four vectors are narrowed together. `count` limits what is written of the last one.
        """
        rounded = [self._round(k, value) for value in values]
        for first in range(0, len(rounded), 4):
            group, at = rounded[first : first + 4], offsets[first : first + 4]
            whole = [group[min(i, len(group) - 1)] for i in range(4)]
            stored = k.let(self._narrow_signed(k, whole) if self.isa.signed else self._narrow(k, whole))
            self._write(k, base, at, stored, 4, count)

    def _write(
        self, k: Emitter, base: Expr, offsets: Sequence[int], stored: Expr, vectors: int, count: int | None
    ) -> None:
        """Write the vectors that have an offset, neighbours with one instruction."""
        lanes = self.isa.lanes
        neighbours = all(at == offsets[0] + i * lanes for i, at in enumerate(offsets))
        if count is not None and vectors == 1:
            for i in range(count):
                k.store(k.y, base + (offsets[0] + i), tirx.Shuffle([stored], [i]))
        elif neighbours and len(offsets) == vectors:
            k.store(k.y, base + offsets[0], stored, vectors * lanes)
        else:
            half = vectors // 2
            for part, at in ((tirx.vectorlow, offsets[:half]), (tirx.vectorhigh, offsets[half:])):
                if at:
                    self._write(k, base, at, part(f"{k.element}x{half * lanes}", stored), half, count)

    def _round(self, k: Emitter, value: Expr) -> Expr:
        lanes = self.isa.lanes
        if self.isa.signed:  # saturates by itself
            return k.call("int32x4", "llvm.aarch64.neon.fcvtns.v4i32.v4f32", value)
        if self.guard:
            value = tirx.min(value, splat(tirx.const(_LARGEST, "float32"), lanes))
        if lanes == 8:
            return k.call("int32x8", "llvm.x86.avx.cvt.ps2dq.256", value)
        nothing, everything = splat(tirx.const(0, "int32"), 16), tirx.const(0xFFFF, "uint16")
        current = tirx.const(4, "int32")  # rounding as the mode register says: to nearest even
        return k.call("int32x16", "llvm.x86.avx512.mask.cvtps2dq.512", value, nothing, everything, current)

    def _narrow(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        """x86: pack to int16, add the zero point, pack to uint8, saturating; then undo the interleaving."""
        lanes = self.isa.lanes
        bits = "avx512" if lanes == 16 else "avx2"
        suffix = ".512" if lanes == 16 else ""
        pack16, pack8 = f"llvm.x86.{bits}.packssdw{suffix}", f"llvm.x86.{bits}.packuswb{suffix}"
        shorts = [k.call(f"int16x{2 * lanes}", pack16, a, b) for a, b in _pairs(rounded)]
        shift = self.scalar(k, Scalar.ZERO, 2 * lanes).astype(f"int16x{2 * lanes}")
        shifted = [k.call(f"int16x{2 * lanes}", f"llvm.sadd.sat.v{2 * lanes}i16", v, shift) for v in shorts]
        packed = k.let(tirx.reinterpret(f"int32x{lanes}", k.call(f"uint8x{4 * lanes}", pack8, *shifted)))
        order = [part * 4 + vector for vector in range(4) for part in range(lanes // 4)]
        stored = tirx.reinterpret(f"uint8x{4 * lanes}", tirx.Shuffle([packed], order))
        return self._clipped(k, stored, 4 * lanes)

    def _narrow_signed(self, k: Emitter, rounded: Sequence[Expr]) -> Expr:
        """ARM: the same with instructions that do not interleave."""
        fours = [k.call("int16x4", "llvm.aarch64.neon.sqxtn.v4i16", value) for value in rounded]
        shift = self.scalar(k, Scalar.ZERO, 8).astype("int16x8")
        eights = [tirx.vectorcombine("int16x8", a, b) for a, b in _pairs(fours)]
        shifted = [k.call("int16x8", "llvm.aarch64.neon.sqadd.v8i16", v, shift) for v in eights]
        halves = [k.call("int8x8", "llvm.aarch64.neon.sqxtn.v8i8", v) for v in shifted]
        return self._clipped(k, tirx.vectorcombine("int8x16", *halves), 16)

    def _clipped(self, k: Emitter, stored: Expr, lanes: int) -> Expr:
        """Narrowing saturates already; this is for tighter bounds."""
        if not self.clip:
            return stored
        dtype = f"{k.element}x{lanes}"
        low, high = (self.scalar(k, bound, lanes).astype(dtype) for bound in (Scalar.LOW, Scalar.HIGH))
        return tirx.min(tirx.max(stored, low), high)


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
