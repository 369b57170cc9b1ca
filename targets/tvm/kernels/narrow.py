"""The copy in 8 bits of what a ReLU gives in 16, whose steps are 257 / 2 of those of 16: by integers alone.

No number of 16 bits is half way between two of 8, so that rounding needs no float32. It takes half of the
instructions that `regrid` does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from targets.tvm.isa import CENTRE, Isa
from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.vector_blocks import blocks, in_one_run
from targets.tvm.kernels.wide_numbers import split
from targets.tvm.tensors import Bytes, Steps

_HALF = 64
"""Rounds: 2 (x + 64) / 257 is 1 / 514 below 2 x / 257 + 1 / 2, which is (4 x + 257) / 514 and no integer."""
_FACTOR, _SHIFT = 65281, 7
"""65,281 / 2**(16 + 7) is above 2 / 257, and so little that 65,535 times the difference is below 1 / 257."""


def narrowed(x: Steps) -> Bytes:
    """min(rne(2 x / 257), 255) of numbers of 16 bits."""
    found: Bytes = np.minimum((2 * x.astype(np.int64) + 128) // 257, 255).astype(np.uint8)
    return found


@dataclass(frozen=True, kw_only=True)
class NarrowKernel(RowKernel):
    """y = `narrowed`(x), of `channels` as stored."""

    width: int
    channels: int
    x: Strides
    y: Strides

    @staticmethod
    def fits(isa: Isa, width: int, channels: int, x: Strides, y: Strides) -> bool:
        """Whether rows are runs of at least one vector on x86. On ARM pixels are."""
        pixels, size = in_one_run(width, channels, x, y)
        return isa.signed or (pixels == 1 and size >= 4 * isa.lanes)

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        with k.items() as row:
            x, y = k.let(row * self.x.row), k.let(row * self.y.row)
            if self.isa.signed:
                self._pixels(k, x, y)
            else:
                self._run(k, x, y)
        return k.function(name)

    def _pixels(self, k: Emitter, x: Expr, y: Expr) -> None:
        """A row, 16 numbers at a time."""
        of = self._of_int16 if self.x.words else self._of_bytes
        for column, channel, vectors in blocks(k, *in_one_run(self.width, self.channels, self.x, self.y), 16):
            read, written = (k.let(row + column * s.pixel + channel) for row, s in ((x, self.x), (y, self.y)))
            for dp, dc in vectors:
                found = of(k, read + (dp * self.x.pixel + dc))
                k.store(k.y, written + (dp * self.y.pixel + dc), found, 16)

    def _run(self, k: Emitter, x: Expr, y: Expr) -> None:
        """A row. What is left at its end is written together with what is before it, once more."""
        lanes, size = 4 * self.isa.lanes, self.width * self.channels
        with k.loop(size // lanes) as part:
            k.store(k.y, y + part * lanes, self._of_words(k, x + part * lanes), lanes)
        if size % lanes:
            k.store(k.y, y + (size - lanes), self._of_words(k, x + (size - lanes)), lanes)

    def _of_words(self, k: Emitter, at: Expr) -> Expr:
        """x86: four registers' worth of numbers, 16 bits of a product, and two registers packed to one."""
        lanes = 2 * self.isa.lanes
        kind, suffix = f"uint16x{lanes}", {8: "sse2.pmulhu.w", 16: "avx2.pmulhu.w", 32: "avx512.pmulhu.w.512"}
        centre, half, factor, shift = (
            splat(tirx.const(value, "uint16"), lanes) for value in (CENTRE, _HALF, _FACTOR, _SHIFT)
        )
        words = []
        for first in (0, lanes):
            stored = k.load(k.numbers("x", self.x), at + first, lanes)
            more = k.call(kind, f"llvm.uadd.sat.v{lanes}i16", tirx.reinterpret(kind, stored) ^ centre, half)
            product = k.call(kind, f"llvm.x86.{suffix[lanes]}", more, factor)
            words.append(tirx.reinterpret(f"int16x{lanes}", product >> shift))
        return _packed(k, words, lanes)

    def _of_int16(self, k: Emitter, at: Expr) -> Expr:
        """ARM: 16 numbers. 2 (x + 64) / 257 is (x + 64 - (x + 192) / 256) / 128, all rounded down."""
        kind, words, found = "uint16x8", k.numbers("x", self.x), []
        centre, half = (splat(tirx.const(value, "uint16"), 8) for value in (CENTRE, _HALF))
        to_the_right = splat(tirx.const(-8, "int16"), 8)
        for first in (0, 8):
            stored = tirx.reinterpret(kind, k.load(words, at + first, 8))
            more = k.let(k.call(kind, "llvm.uadd.sat.v8i16", stored ^ centre, half))
            less = k.call(kind, "llvm.aarch64.neon.urshl.v8i16", more, to_the_right)
            found.append(k.call("uint8x8", "llvm.aarch64.neon.uqshrn.v8i8", more - less, _shift()))
        flip = splat(tirx.const(-128, "int8"), 16)
        return tirx.reinterpret("int8x16", tirx.vectorcombine("uint8x16", *found)) ^ flip

    def _of_bytes(self, k: Emitter, at: Expr) -> Expr:
        """ARM: the same where bytes lie apart."""
        high, low = (k.let(k.load(k.x, at + more, 16)) for more in (0, self.x.low))
        flip = splat(tirx.const(-128, "int8"), 16)
        upper, lower = (k.let(tirx.reinterpret("uint8x16", byte ^ flip)) for byte in (high, low))
        none, one, half = (splat(tirx.const(value, "uint8"), 16) for value in (0, 1, _HALF))
        less = k.let(upper + tirx.Select(lower >= half, one, none))
        order = [which * 16 + i for i in range(16) for which in range(2)]
        whole = tirx.reinterpret("uint16x16", tirx.Shuffle([lower, upper], order))
        halves = [
            k.call("uint8x8", "llvm.aarch64.neon.uqrshrn.v8i8", word - byte.astype("uint16x8"), _shift())
            for word, byte in zip(split(whole, "uint16", 16, 8), split(less, "uint8", 16, 8), strict=True)
        ]
        return tirx.reinterpret("int8x16", tirx.vectorcombine("uint8x16", *halves)) ^ flip


def _shift() -> Expr:
    return tirx.const(_SHIFT, "int32")


def _packed(k: Emitter, words: list[Expr], lanes: int) -> Expr:
    """x86: two registers of words as one of bytes, in their order."""
    pack = {8: "sse2.packuswb.128", 16: "avx2.packuswb", 32: "avx512.packuswb.512"}[lanes]
    packed = k.call(f"uint8x{2 * lanes}", f"llvm.x86.{pack}", *words)
    parts = lanes // 4
    if parts == 2:
        return packed
    order = [*range(0, parts, 2), *range(1, parts, 2)]
    eights = k.let(tirx.reinterpret(f"int64x{parts}", packed))
    return tirx.reinterpret(f"uint8x{2 * lanes}", tirx.Shuffle([eights], order))
