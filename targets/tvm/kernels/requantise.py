"""The end of every kernel: int32 sums to stored bytes, as the numeric contract says.

The parameter block p is int32 bias [C], float32 multiplier [C], then the scalars of `Scalar`. Rounding is to
nearest, ties to even.
"""

from collections.abc import Iterator, Sequence
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
    """Turns sums of `channels` channels into bytes. `guard`: products may exceed int32, so limit them."""

    isa: Isa
    channels: int
    guard: bool = False
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

    def store(self, k: Emitter, offset: Expr, values: Sequence[Expr], count: int | None = None) -> None:
        """Round float vectors of neighbouring channels, add the zero point, clamp and write them.

        `count` limits what is written to the first channels.
        """
        rounded = [self._round(k, value) for value in values]
        at, narrow = 0, self._narrow_signed if self.isa.signed else self._narrow_unsigned
        for stored, lanes in narrow(k, rounded):
            if count is None or at + lanes <= count:
                k.store(k.y, offset + at, stored, lanes)
            else:
                named = k.let(stored)
                for i in range(count - at):
                    k.store(k.y, offset + at + i, tirx.Shuffle([named], [i]))
            at += lanes

    def _narrow_unsigned(self, k: Emitter, rounded: Sequence[Expr]) -> Iterator[tuple[Expr, int]]:
        lanes = self.isa.lanes
        low, high = (self.scalar(k, which, lanes) for which in (Scalar.LOW, Scalar.HIGH))
        for value in rounded:
            shifted = value + self.scalar(k, Scalar.ZERO, lanes)
            yield tirx.min(tirx.max(shifted, low), high).astype(f"uint8x{lanes}"), lanes

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

    def _narrow_signed(self, k: Emitter, rounded: Sequence[Expr]) -> Iterator[tuple[Expr, int]]:
        """Narrow in two saturating steps: int16 holds every sum that clamping to int8 can tell apart."""
        narrow = [k.call("int16x4", "llvm.aarch64.neon.sqxtn.v4i16", value) for value in rounded]
        while narrow:
            count = next(n for n in (4, 2, 1) if n <= len(narrow))
            group, narrow = narrow[:count], narrow[count:]
            # a lone vector is doubled: the instructions take 8 lanes at least
            eights = _joined("int16x8", group if count > 1 else group * 2)
            shift = self.scalar(k, Scalar.ZERO, 8).astype("int16x8")
            eights = [k.call("int16x8", "llvm.aarch64.neon.sqadd.v8i16", v, shift) for v in eights]
            halves = [k.call("int8x8", "llvm.aarch64.neon.sqxtn.v8i8", v) for v in eights]
            stored = _joined("int8x16", halves)[0] if count == 4 else halves[0]
            lanes = 16 if count == 4 else 8
            low, high = (self.scalar(k, s, lanes).astype(f"int8x{lanes}") for s in (Scalar.LOW, Scalar.HIGH))
            stored = tirx.min(tirx.max(stored, low), high)
            yield (tirx.vectorlow("int8x4", stored) if count == 1 else stored), 4 * count


def _joined(dtype: str, parts: Sequence[Expr]) -> list[Expr]:
    return [tirx.vectorcombine(dtype, a, b) for a, b in zip(parts[0::2], parts[1::2], strict=True)]


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
