"""The inner step on ARM: dot product, matrix product, and neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.inner_step import Accumulators, LoadedActivations, Reads, start_with_bias


@dataclass(frozen=True)
class LaneDot:
    """ARM sdot: 16 activations of a pixel are loaded once and taken four at a time from a lane."""

    mnemonic: str = "sdot"
    products: int = 4
    granule: int = 4
    advance: int = 4
    unit: int = 4
    pair: int = 1
    unroll: int = 1
    pairs_rows: bool = False
    writes_taps_out: bool = False
    keeps_weights_in_memory: bool = False
    exposed_loads: float = 0.5
    independent: int = 9  # two pipes, four or five cycles until a sum can be added to again
    rated_by_mca: bool = True

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and four channels."""
        return pixels * vectors

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """The activations of each pixel, and one vector of weights."""
        return pixels + 1

    def weight_loads(self, vectors: int) -> float:
        """Two vectors with one instruction, ldp."""
        return vectors / 2

    def start(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Start with the biases."""
        start_with_bias(k, acc, block, 4)

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Go over the pixels for each vector of weights."""
        vectors = block.vectors
        x = LoadedActivations(k, base, "int32x4")
        for i, (offsets, g, n) in enumerate(product(reads, range(granules), range(vectors))):
            weights = k.let(k.load(k.w, w + i * 16, 16))
            for p, offset in enumerate(offsets):
                four = splat(tirx.Shuffle([x.at(offset + g // 4 * 16)], [g % 4]), 4)
                at = p * vectors + n
                k.store(acc, at, self._dot(k, k.load(acc, at), weights, tirx.reinterpret("int8x16", four)))

    def _dot(self, k: Emitter, total: Expr, weights: Expr, four: Expr) -> Expr:
        return k.call("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", total, weights, four)

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Accumulators) -> Expr:
        """The accumulator itself."""
        return k.load(acc, pixel * block.vectors + vector)


@dataclass(frozen=True)
class MatrixStep:
    """ARM smmla: a register holds two pixels times two channels, 8 input channels at a time.

    `chunk`: where both pixels' channels lie beside each other, bytes from 16 channels to the next 16.
    """

    chunk: int = 0
    mnemonic: str = "smmla"
    products: int = 8
    granule: int = 8
    unit: int = 2
    pair: int = 2
    unroll: int = 1
    pairs_rows: bool = True
    writes_taps_out: bool = False
    keeps_weights_in_memory: bool = True
    exposed_loads: float = 0.5
    independent: int = 9  # two pipes, four or five cycles until a sum can be added to again
    rated_by_mca: bool = False

    @property
    def advance(self) -> int:
        """The granule, or half of a chunk."""
        return self.chunk // 2 or self.granule

    def registers(self, pixels: int, vectors: int) -> int:
        """One for two pixels and two channels."""
        return pixels * vectors

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """Pairs of pixels, one vector of weights, and one to join halves in."""
        return read // 2 + 2

    def weight_loads(self, vectors: int) -> float:
        """Two registers a vector of channels, loaded by ldp."""
        return float(vectors)

    def start(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Start with the biases of two channels, for both pixels."""
        for n in range(2 * block.vectors):
            bias = k.load(k.ints, block.channel + n * 2, 2)
            both = k.let(tirx.vectorcombine("int32x4", bias, bias))
            for p in range(block.pixels // 2):
                k.store(acc, p * 2 * block.vectors + n, both)

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Load two granules a pixel, join halves of two pixels, go over them for each pair of channels."""
        x = LoadedActivations(k, base, "int8x16" if self.chunk else "int64x2")
        joined: dict[tuple[int, int, int], Expr] = {}

        def join(first: int, second: int, g: int) -> Expr:
            if self.chunk:
                return x.at(first + g // 2 * self.chunk + g % 2 * 16)
            if (first, second, g) not in joined:
                halves = [x.at(offset + g // 2 * 16) for offset in (first, second)]
                for half in range(2):  # both at once: then the loaded ones need no registers any more
                    both = tirx.Shuffle(halves, [half, 2 + half])
                    joined[first, second, g // 2 * 2 + half] = k.let(tirx.reinterpret("int8x16", both))
            return joined[first, second, g]

        vectors = 2 * block.vectors
        for i, (offsets, g, n) in enumerate(product(reads, range(granules), range(vectors))):
            weights = k.let(k.load(k.w, w + i * 16, 16))
            for p, (first, second) in enumerate(_pairs(offsets)):
                at = p * vectors + n
                k.store(acc, at, self._dot(k, k.load(acc, at), join(first, second, g), weights))

    def _dot(self, k: Emitter, total: Expr, both: Expr, weights: Expr) -> Expr:
        return k.call("int32x4", "llvm.aarch64.neon.smmla.v4i32.v16i8", total, both, weights)

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Accumulators) -> Expr:
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

    mnemonic: str = "s(mull|mlal)2?"
    products: int = 4
    granule: int = 16
    advance: int = 16
    unit: int = 1
    pair: int = 1
    unroll: int = 1
    pairs_rows: bool = False
    writes_taps_out: bool = True
    keeps_weights_in_memory: bool = False
    exposed_loads: float = 0.15  # it takes three instructions where others take one
    independent: int = 9  # two pipes, four or five cycles until a sum can be added to again
    rated_by_mca: bool = False

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and channel, four partial sums each."""
        return pixels * vectors * 4

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """The activations that are read, one vector of weights, and products on their way."""
        return read + 4

    def weight_loads(self, vectors: int) -> float:
        """Four registers a vector of channels, loaded by ldp."""
        return 2.0 * vectors

    def start(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Start with zero: a register holds parts of one sum."""
        for i in range(self.registers(block.pixels, block.vectors)):
            k.store(acc, i, splat(tirx.const(0, "int32"), 4))

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Go over the pixels for each channel."""
        vectors = 4 * block.vectors
        x = LoadedActivations(k, base, "int8x16")
        for i, (offsets, g, n) in enumerate(product(reads, range(granules), range(vectors))):
            weights = k.let(k.load(k.w, w + i * 16, 16))
            for p, offset in enumerate(offsets):
                at = p * vectors + n
                k.store(acc, at, k.load(acc, at) + self._products(k, x.at(offset + g * 16), weights))

    def _products(self, k: Emitter, x: Expr, w: Expr) -> Expr:
        low, high = (
            k.call("int16x8", "llvm.aarch64.neon.smull.v8i16", half("int8x8", w), half("int8x8", x))
            for half in (tirx.vectorlow, tirx.vectorhigh)
        )
        return k.call("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", low + high)

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Accumulators) -> Expr:
        """Four channels' partial sums, added across, and the bias."""
        first = pixel * 4 * block.vectors + 4 * vector
        a, b, c, d = (k.load(acc, first + i) for i in range(4))
        total = _add_pairs(k, _add_pairs(k, a, b), _add_pairs(k, c, d))
        return total + k.load(k.ints, block.channel + vector * 4, 4)


def _pairs(values: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(values[0::2], values[1::2], strict=True))


def _add_pairs(k: Emitter, a: Expr, b: Expr) -> Expr:
    return k.call("int32x4", "llvm.aarch64.neon.addp.v4i32", a, b)
