"""The inner step of a convolution on each instruction set: what one load of activations and weights becomes.

A block of accumulators belongs to `pixels` output pixels and `channels` output channels. Weights are packed
[block][tap][granule][channel][byte]: a granule is the bytes of one channel that one instruction takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from targets.tvm.isa import Dot, Isa
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat


@dataclass(frozen=True)
class Block:
    """The accumulators of a block: pixels times vectors of channels, from the channel `channel` on."""

    pixels: int
    vectors: int
    channel: Expr


class Step(Protocol):
    """How one instruction set multiplies and accumulates."""

    @property
    def granule(self) -> int:
        """Bytes of input channels one instruction takes: weights are padded with zeros to a multiple."""
        ...

    @property
    def unit(self) -> int:
        """Granules that share one load of activations."""
        ...

    @property
    def pair(self) -> int:
        """Pixels that share one accumulator register; a block has a multiple of it."""
        ...

    def registers(self, pixels: int, vectors: int) -> int:
        """How many accumulator registers a block takes."""
        ...

    def start(self, k: Emitter, acc: Buffer, block: Block) -> None:
        """Set the accumulators, to the biases where the register layout allows it."""
        ...

    def emit(self, k: Emitter, acc: Buffer, x: Sequence[Expr], w: Expr, granules: int, block: Block) -> None:
        """Accumulate `granules` granules from activation offsets x (one a pixel) and weight offset w."""
        ...

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Block) -> Expr:
        """The int32 sums, bias included, of `lanes` channels of one pixel."""
        ...


def pack(weight: NDArray[np.int8], channels: int, granule: int) -> NDArray[np.int8]:
    """Reorder weights [K, taps, bytes] to [K / channels, taps, bytes / granule, channels, granule]."""
    count, taps, length = weight.shape
    blocks = weight.reshape(count // channels, channels, taps, length // granule, granule)
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1, 4))


def step(isa: Isa) -> Step:
    """The inner step of an instruction set."""
    match isa.dot:
        case Dot.SDOT:
            return LaneDot()
        case Dot.SMMLA:
            return MatrixStep()
        case Dot.SMULL:
            return PairwiseStep()
        case _:
            return BroadcastStep(isa)


def _pairs(values: Sequence[Expr]) -> list[tuple[Expr, Expr]]:
    return list(zip(values[0::2], values[1::2], strict=True))


def _start_with_bias(k: Emitter, acc: Buffer, block: Block, lanes: int) -> None:
    for n in range(block.vectors):
        bias = k.let(k.load(k.ints, block.channel + n * lanes, lanes))
        for p in range(block.pixels):
            k.store(acc, p * block.vectors + n, bias)


@dataclass(frozen=True)
class BroadcastStep:
    """x86: the same few activations in every lane times the weights of `lanes` channels."""

    isa: Isa
    unit: int = 1
    pair: int = 1

    @property
    def granule(self) -> int:
        """4 bytes for VNNI; 2 where operands are widened to int16."""
        return 4 if self.isa.dot is Dot.VPDPBUSD else 2

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and vector of channels."""
        return pixels * vectors

    def start(self, k: Emitter, acc: Buffer, block: Block) -> None:
        """Start with the biases."""
        _start_with_bias(k, acc, block, self.isa.lanes)

    def emit(self, k: Emitter, acc: Buffer, x: Sequence[Expr], w: Expr, granules: int, block: Block) -> None:
        """Load the weights once, then go over the pixels."""
        vectors = block.vectors
        width = self.isa.lanes * self.granule
        for g in range(granules):
            weights = [k.let(self._weights(k, w + (g * vectors + n) * width, width)) for n in range(vectors)]
            for p, offset in enumerate(x):
                activation = k.let(self._activation(k, offset + g * self.granule))
                for n in range(vectors):
                    i = p * vectors + n
                    k.store(acc, i, self._dot(k, k.load(acc, i), activation, weights[n]))

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Block) -> Expr:
        """The accumulator itself."""
        return k.load(acc, pixel * block.vectors + vector)

    def _weights(self, k: Emitter, offset: Expr, width: int) -> Expr:
        loaded = k.load(k.w, offset, width)
        return loaded if self.isa.dot is Dot.VPDPBUSD else loaded.astype(f"int16x{width}")

    def _activation(self, k: Emitter, offset: Expr) -> Expr:
        lanes = self.isa.lanes
        loaded = k.load(k.x, offset, self.granule)
        if self.isa.dot is Dot.VPDPBUSD:
            return tirx.reinterpret(f"int8x{lanes * 4}", splat(tirx.reinterpret("int32", loaded), lanes))
        pair = tirx.reinterpret("int32", loaded.astype("int16x2"))
        return tirx.reinterpret(f"int16x{lanes * 2}", splat(pair, lanes))

    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr:
        lanes = self.isa.lanes
        if self.isa.dot is Dot.VPDPBUSD:
            return k.call(f"int32x{lanes}", f"llvm.x86.avx512.vpdpbusd.{lanes * 32}", acc, x, w)
        return acc + k.call(f"int32x{lanes}", "llvm.x86.avx2.pmadd.wd", x, w)


@dataclass(frozen=True)
class LaneDot:
    """ARM sdot: 16 activations of a pixel are loaded once and taken four at a time from a lane."""

    granule: int = 4
    unit: int = 4
    pair: int = 1

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and four channels."""
        return pixels * vectors

    def start(self, k: Emitter, acc: Buffer, block: Block) -> None:
        """Start with the biases."""
        _start_with_bias(k, acc, block, 4)

    def emit(self, k: Emitter, acc: Buffer, x: Sequence[Expr], w: Expr, granules: int, block: Block) -> None:
        """Go over the pixels for each vector of weights."""
        vectors = block.vectors
        for first in range(0, granules, 4):
            loads = [k.let(tirx.reinterpret("int32x4", k.load(k.x, o + first * 4, 16))) for o in x]
            for g in range(first, min(first + 4, granules)):
                for n in range(vectors):
                    weights = k.let(k.load(k.w, w + (g * vectors + n) * 16, 16))
                    for p, loaded in enumerate(loads):
                        lane = tirx.reinterpret("int8x16", splat(tirx.Shuffle([loaded], [g - first]), 4))
                        i = p * vectors + n
                        total = k.call(
                            "int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", k.load(acc, i), weights, lane
                        )
                        k.store(acc, i, total)

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Block) -> Expr:
        """The accumulator itself."""
        return k.load(acc, pixel * block.vectors + vector)


@dataclass(frozen=True)
class MatrixStep:
    """ARM smmla: a register holds two pixels times two channels, 8 input channels at a time."""

    granule: int = 8
    unit: int = 2
    pair: int = 2

    def registers(self, pixels: int, vectors: int) -> int:
        """One for two pixels and two channels."""
        return pixels * vectors

    def start(self, k: Emitter, acc: Buffer, block: Block) -> None:
        """Start with the biases of two channels, for both pixels."""
        for n in range(2 * block.vectors):
            bias = k.load(k.ints, block.channel + n * 2, 2)
            both = k.let(tirx.vectorcombine("int32x4", bias, bias))
            for p in range(block.pixels // 2):
                k.store(acc, p * 2 * block.vectors + n, both)

    def emit(self, k: Emitter, acc: Buffer, x: Sequence[Expr], w: Expr, granules: int, block: Block) -> None:
        """Load two granules a pixel, join halves of two pixels, go over them for each pair of channels."""
        vectors = block.vectors
        for first in range(0, granules, 2):
            loads = [k.let(tirx.reinterpret("int64x2", k.load(k.x, offset + first * 8, 16))) for offset in x]
            for g in range(first, min(first + 2, granules)):
                joined = [tirx.Shuffle([a, b], [g % 2, 2 + g % 2]) for a, b in _pairs(loads)]
                pairs = [k.let(tirx.reinterpret("int8x16", both)) for both in joined]
                for n in range(2 * vectors):
                    weights = k.let(k.load(k.w, w + (g * 2 * vectors + n) * 16, 16))
                    for p, both in enumerate(pairs):
                        i = p * 2 * vectors + n
                        total = k.call(
                            "int32x4", "llvm.aarch64.neon.smmla.v4i32.v16i8", k.load(acc, i), both, weights
                        )
                        k.store(acc, i, total)

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Block) -> Expr:
        """The pixel's half of two neighbouring registers."""
        first = (pixel // 2) * 2 * block.vectors + 2 * vector
        half = tirx.vectorhigh if pixel % 2 else tirx.vectorlow
        halves = [half("int32x2", k.load(acc, first + i)) for i in range(2)]
        return tirx.vectorcombine("int32x4", *halves)


@dataclass(frozen=True)
class PairwiseStep:
    """ARM without dot product: 16 products of one channel, summed in int16 by twos and widened by pairs.

    2 * 128 * 127 < 2**15, so the sum of two products fits.
    """

    granule: int = 16
    unit: int = 1
    pair: int = 1

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and channel, four partial sums each."""
        return pixels * vectors * 4

    def start(self, k: Emitter, acc: Buffer, block: Block) -> None:
        """Start with zero: a register holds parts of one sum."""
        for i in range(self.registers(block.pixels, block.vectors)):
            k.store(acc, i, splat(tirx.const(0, "int32"), 4))

    def emit(self, k: Emitter, acc: Buffer, x: Sequence[Expr], w: Expr, granules: int, block: Block) -> None:
        """Go over the pixels for each channel."""
        vectors = block.vectors
        for g in range(granules):
            loads = [k.let(k.load(k.x, offset + g * 16, 16)) for offset in x]
            for n in range(4 * vectors):
                weights = k.let(k.load(k.w, w + (g * 4 * vectors + n) * 16, 16))
                for p, loaded in enumerate(loads):
                    i = p * 4 * vectors + n
                    k.store(acc, i, k.load(acc, i) + self._products(k, loaded, weights))

    def _products(self, k: Emitter, x: Expr, w: Expr) -> Expr:
        low, high = (
            k.call("int16x8", "llvm.aarch64.neon.smull.v8i16", half("int8x8", w), half("int8x8", x))
            for half in (tirx.vectorlow, tirx.vectorhigh)
        )
        return k.call("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", low + high)

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Block) -> Expr:
        """Four channels' partial sums, added across, and the bias."""
        first = pixel * 4 * block.vectors + 4 * vector
        a, b, c, d = (k.load(acc, first + i) for i in range(4))
        total = _add_pairs(k, _add_pairs(k, a, b), _add_pairs(k, c, d))
        return total + k.load(k.ints, block.channel + vector * 4, 4)


def _add_pairs(k: Emitter, a: Expr, b: Expr) -> Expr:
    return k.call("int32x4", "llvm.aarch64.neon.addp.v4i32", a, b)
