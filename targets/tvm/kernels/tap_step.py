"""How each instruction set multiplies a vector of channels with taps of its own, and adds up.

Rows of a chunk of channels are interleaved as vectors do it, in each 128 bits by themselves. So the registers
of sums take turns in having four channels: see `register_order`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.register_order import channels_of, interleaved
from targets.tvm.kernels.x86 import add_products_of_words, multiply_words

WEIGHT_BYTES = 4
"""Bytes of a channel's weights for one group of rows and one column."""
_LANE = 16


@dataclass(frozen=True)
class TapStep(ABC):
    """Multiplying and adding for vectors of `channels` channels."""

    channels: int
    together: int
    """Rows that are interleaved."""
    shuffles: int
    """Instructions that this takes, for all four registers."""
    products: int
    """Instructions that multiply and add one of these groups, for all four registers."""
    rows: int
    columns: int
    """Largest blocks of results that were the fastest: in larger ones LLVM moves sums to the stack."""
    parts: int
    """Registers of sums of a result that are computed together; 0: all, column by column."""
    registers: int = 4
    """Registers of sums for one vector of a row: two of int16, four of bytes."""

    @property
    def lanes(self) -> int:
        """int32 in a register of sums."""
        return self.channels // self.registers

    @property
    def order(self) -> NDArray[np.int64]:
        """The channels in the registers of sums [registers, lanes]."""
        return channels_of(interleaved(self.registers, self.lanes))

    def operands(self, rows: int) -> int:  # noqa: ARG002 -- the same for all
        """How many operands so many rows are, when they are interleaved."""
        return self.registers

    @abstractmethod
    def interleave(self, k: Emitter, rows: Sequence[Expr]) -> list[Expr]:
        """Vectors of bytes of up to `together` rows as operands, one a register or two."""

    @abstractmethod
    def multiply(self, k: Emitter, total: Expr, operands: Sequence[Expr], part: int, w: Expr) -> Expr:
        """Add the products of a register's operands; the weights of the whole chunk begin at `w`."""

    def pack(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """Reorder weights [registers, lanes, together] to what `multiply` reads, as bytes."""
        return weights.reshape(-1)

    def _unpack(self, a: Expr, b: Expr, dtype: str, size: int) -> list[Expr]:
        """Interleave elements of `size` bytes in each 128 bits: of the lower, and of the upper halves."""
        count, half = 4 * self.lanes // size, _LANE // size // 2
        both = [tirx.reinterpret(f"{dtype}x{count}", v) for v in (a, b)]
        return [
            tirx.Shuffle(
                both,
                [
                    which * count + lane * 2 * half + part * half + i
                    for lane in range(count // (2 * half))
                    for i in range(half)
                    for which in range(2)
                ],
            )
            for part in range(2)
        ]


@dataclass(frozen=True)
class FourBytes(TapStep):
    """Four rows, and an instruction that adds four products of bytes: VNNI, and ARM's sdot."""

    together: int = 4
    shuffles: int = 8
    products: int = 4
    rows: int = 2
    columns: int = 3
    parts: int = 0
    signed: bool = False

    def interleave(self, k: Emitter, rows: Sequence[Expr]) -> list[Expr]:
        """Bytes, then pairs of bytes."""
        a, b, c, d = (*rows, *[rows[-1]] * (4 - len(rows)))
        byte = "int8" if self.signed else "uint8"
        pairs = [self._unpack(one, other, byte, 1) for one, other in ((a, b), (c, d))]
        fours = [
            four
            for upper in zip(*pairs, strict=True)
            for four in self._unpack(upper[0], upper[1], "int16", 2)
        ]
        return [k.let(tirx.reinterpret(f"int8x{self.channels}", four)) for four in fours]

    def multiply(self, k: Emitter, total: Expr, operands: Sequence[Expr], part: int, w: Expr) -> Expr:
        """One instruction."""
        weights = k.load(k.w, w + part * self.channels, self.channels)
        if self.signed:
            return k.call("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", total, operands[part], weights)
        name = f"llvm.x86.avx512.vpdpbusd.{self.lanes * 32}"
        return k.call(f"int32x{self.lanes}", name, total, operands[part], weights)


@dataclass(frozen=True)
class TwoWords(TapStep):
    """Two rows widened to int16: vpmaddwd. Weights are stored as int16."""

    together: int = 2
    shuffles: int = 6
    products: int = 8
    rows: int = 3
    columns: int = 2
    parts: int = 0

    def interleave(self, k: Emitter, rows: Sequence[Expr]) -> list[Expr]:
        """Bytes, then with zeros."""
        zeros = tirx.Broadcast(tirx.const(0, "uint8"), self.channels)
        pairs = self._unpack(rows[0], rows[-1], "uint8", 1)
        words = [word for pair in pairs for word in self._unpack(k.let(pair), zeros, "uint8", 1)]
        return [k.let(tirx.reinterpret(f"int16x{self.channels // 2}", word)) for word in words]

    def multiply(self, k: Emitter, total: Expr, operands: Sequence[Expr], part: int, w: Expr) -> Expr:
        """A multiplication and an addition."""
        return total + multiply_words(k, self.lanes, operands[part], self._weights(k, part, w))

    def _weights(self, k: Emitter, part: int, w: Expr) -> Expr:
        """A register's weights."""
        size = self.lanes * WEIGHT_BYTES
        return tirx.reinterpret(f"int16x{size // 2}", k.load(k.w, w + part * size, size))

    def pack(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """Little-endian int16."""
        return weights.astype("<i2").reshape(-1).view(np.int8)


@dataclass(frozen=True)
class StoredWords(TwoWords):
    """x86: two rows of int16. `fused`: with VNNI."""

    shuffles: int = 2
    products: int = 4
    rows: int = 1
    columns: int = 4
    registers: int = 2
    fused: bool = False

    def interleave(self, k: Emitter, rows: Sequence[Expr]) -> list[Expr]:
        """As they are."""
        return [k.let(pair) for pair in self._unpack(rows[0], rows[-1], "int16", 2)]

    def multiply(self, k: Emitter, total: Expr, operands: Sequence[Expr], part: int, w: Expr) -> Expr:
        """A multiplication and an addition, or with VNNI both at once."""
        if not self.fused:
            return super().multiply(k, total, operands, part, w)
        return add_products_of_words(k, self.lanes, total, operands[part], self._weights(k, part, w))


@dataclass(frozen=True)
class TwoPairs(TapStep):
    """ARM without dot product: two pairs of rows. Two products fit int16: 2 * 128 * 127 < 2**15."""

    together: int = 4
    shuffles: int = 4
    products: int = 12
    rows: int = 2
    columns: int = 2
    parts: int = 2

    def operands(self, rows: int) -> int:
        """Two for each pair of rows."""
        return 2 * -(-rows // 2)

    def interleave(self, k: Emitter, rows: Sequence[Expr]) -> list[Expr]:
        """The rows of each pair: eight channels, and the next eight."""
        pairs = [rows[at : at + 2] for at in range(0, len(rows), 2)]
        return [k.let(v) for pair in pairs for v in self._unpack(pair[0], pair[-1], "int8", 1)]

    def multiply(self, k: Emitter, total: Expr, operands: Sequence[Expr], part: int, w: Expr) -> Expr:
        """smull, smlal where there is another pair, and sadalp."""
        half = tirx.vectorhigh if part % 2 else tirx.vectorlow
        added: Expr = None
        for pair in range(len(operands) // 2):
            weights = k.load(k.w, w + (part // 2 * 2 + pair) * _LANE, _LANE)
            x = operands[2 * pair + part // 2]
            product = k.call(
                "int16x8", "llvm.aarch64.neon.smull.v8i16", half("int8x8", x), half("int8x8", weights)
            )
            added = product if added is None else added + product
        return total + k.call("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", added)

    def pack(self, weights: NDArray[np.int8]) -> NDArray[np.int8]:
        """[half of the channels][pair of rows][channel][row of the pair]."""
        return np.ascontiguousarray(weights.reshape(2, 8, 2, 2).transpose(0, 2, 1, 3)).reshape(-1)
