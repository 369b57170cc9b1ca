"""The inner steps on x86, with VNNI and without: the same activations in every lane, times weights."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.inner_step import Accumulators, Reads, start_with_bias


@dataclass(frozen=True)
class BroadcastStep(ABC):
    """What both have in common; `lanes` int32 in a register."""

    lanes: int
    granule: int
    unit: int = 1
    pair: int = 1
    pairs_rows: bool = False
    writes_taps_out: bool = False
    keeps_weights_in_memory: bool = False
    exposed_loads: float = 0.15  # x86 loads beside multiplying
    independent: int = 9
    rated_by_mca: bool = False

    @property
    def advance(self) -> int:
        """The granule."""
        return self.granule

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and vector of channels."""
        return pixels * vectors

    def weight_loads(self, vectors: int) -> float:
        """One a vector of channels."""
        return float(vectors)

    def start(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Start with the biases."""
        start_with_bias(k, acc, block, self.lanes)

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Load the weights once, then go over the pixels."""
        vectors = block.vectors
        width = self.lanes * self.granule
        for i, (offsets, g) in enumerate(product(reads, range(granules))):
            weights = [k.let(self._weights(k, w + (i * vectors + n) * width, width)) for n in range(vectors)]
            for p, offset in enumerate(offsets):
                activation = k.let(self.activation(k, base + (offset + g * self.granule)))
                for n in range(vectors):
                    at = p * vectors + n
                    k.store(acc, at, self._dot(k, k.load(acc, at), activation, weights[n]))

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Accumulators) -> Expr:
        """The accumulator itself."""
        return k.load(acc, pixel * block.vectors + vector)

    @abstractmethod
    def _weights(self, k: Emitter, offset: Expr, width: int) -> Expr: ...

    @abstractmethod
    def activation(self, k: Emitter, offset: Expr) -> Expr:
        """A granule of one pixel's activations in every lane."""

    @abstractmethod
    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr: ...


@dataclass(frozen=True)
class ByteStep(BroadcastStep):
    """VNNI: 4 products a lane, uint8 x int8."""

    granule: int = 4
    mnemonic: str = r"(?:\{vex\}\s+)?vpdpbusd"
    products: int = 4
    unroll: int = 2

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """Weights, and an activation; with one vector the weights are read from memory."""
        return vectors + (1 if vectors > 1 else 0)

    def _weights(self, k: Emitter, offset: Expr, width: int) -> Expr:
        return k.load(k.w, offset, width)

    def activation(self, k: Emitter, offset: Expr) -> Expr:
        """The bytes of a granule, in every lane."""
        four = tirx.reinterpret("int32", k.load(k.source, offset, self.granule))
        return tirx.reinterpret(f"int8x{self.lanes * 4}", splat(four, self.lanes))

    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr:
        return k.call(f"int32x{self.lanes}", f"llvm.x86.avx512.vpdpbusd.{self.lanes * 32}", acc, x, w)


@dataclass(frozen=True)
class WordStep(BroadcastStep):
    """2 products a lane of operands that are int16 or widened to it, so nothing saturates on the way.

    `wide`: activations are int16.
    """

    wide: bool = False
    granule: int = 2
    mnemonic: str = "v?pmaddwd"
    products: int = 2
    unroll: int = 1

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """Weights, an activation, and a product on its way."""
        return vectors + 2

    def _weights(self, k: Emitter, offset: Expr, width: int) -> Expr:
        return k.load(k.w, offset, width).astype(f"int16x{width}")

    def activation(self, k: Emitter, offset: Expr) -> Expr:
        """The words of a granule, in every lane."""
        if self.wide:
            pair = tirx.reinterpret("int32", k.load(k.source, offset * 2, 2 * self.granule))
        else:
            pair = tirx.reinterpret("int32", k.load(k.source, offset, self.granule).astype("int16x2"))
        return tirx.reinterpret(f"int16x{self.lanes * 2}", splat(pair, self.lanes))

    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr:
        return acc + multiply_words(k, self.lanes, x, w)


@dataclass(frozen=True)
class FusedWordStep(WordStep):
    """VNNI: the same with one instruction."""

    mnemonic: str = r"(?:\{vex\}\s+)?vpdpwssd"

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """Weights, and an activation."""
        return vectors + 1

    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr:
        return add_products_of_words(k, self.lanes, acc, x, w)


def multiply_words(k: Emitter, lanes: int, a: Expr, b: Expr) -> Expr:
    """vpmaddwd: the products of int16, neighbours added as int32."""
    suffix = {4: "sse2.pmadd.wd", 8: "avx2.pmadd.wd", 16: "avx512.pmaddw.d.512"}[lanes]
    return k.call(f"int32x{lanes}", f"llvm.x86.{suffix}", a, b)


def add_products_of_words(k: Emitter, lanes: int, total: Expr, a: Expr, b: Expr) -> Expr:
    """VNNI's vpdpwssd: vpmaddwd, and the addition to a register of sums."""
    return k.call(f"int32x{lanes}", f"llvm.x86.avx512.vpdpwssd.{32 * lanes}", total, a, b)


def multiply_bytes(k: Emitter, lanes: int, a: Expr, b: Expr) -> Expr:
    """vpmaddubsw: the products of uint8 and int8, neighbours added as int16, which saturates."""
    suffix = {4: "ssse3.pmadd.ub.sw.128", 8: "avx2.pmadd.ub.sw", 16: "avx512.pmaddubs.w.512"}[lanes]
    return k.call(f"int16x{2 * lanes}", f"llvm.x86.{suffix}", a, b)
