"""The inner step on x86, with and without VNNI."""

from dataclasses import dataclass
from itertools import product

from tvm import tirx

from targets.tvm.isa import Dot, Isa
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.step import Block, Reads, start_with_bias


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

    @property
    def advance(self) -> int:
        """The granule."""
        return self.granule

    def registers(self, pixels: int, vectors: int) -> int:
        """One a pixel and vector of channels."""
        return pixels * vectors

    def start(self, k: Emitter, acc: Buffer, block: Block) -> None:
        """Start with the biases."""
        start_with_bias(k, acc, block, self.isa.lanes)

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Block
    ) -> None:
        """Load the weights once, then go over the pixels."""
        vectors = block.vectors
        width = self.isa.lanes * self.granule
        for i, (offsets, g) in enumerate(product(reads, range(granules))):
            weights = [k.let(self._weights(k, w + (i * vectors + n) * width, width)) for n in range(vectors)]
            for p, offset in enumerate(offsets):
                activation = k.let(self._activation(k, base + (offset + g * self.granule)))
                for n in range(vectors):
                    at = p * vectors + n
                    k.store(acc, at, self._dot(k, k.load(acc, at), activation, weights[n]))

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Block) -> Expr:
        """The accumulator itself."""
        return k.load(acc, pixel * block.vectors + vector)

    def _weights(self, k: Emitter, offset: Expr, width: int) -> Expr:
        loaded = k.load(k.w, offset, width)
        return loaded if self.isa.dot is Dot.VPDPBUSD else loaded.astype(f"int16x{width}")

    def _activation(self, k: Emitter, offset: Expr) -> Expr:
        lanes = self.isa.lanes
        loaded = k.load(k.source, offset, self.granule)
        if self.isa.dot is Dot.VPDPBUSD:
            return tirx.reinterpret(f"int8x{lanes * 4}", splat(tirx.reinterpret("int32", loaded), lanes))
        pair = tirx.reinterpret("int32", loaded.astype("int16x2"))
        return tirx.reinterpret(f"int16x{lanes * 2}", splat(pair, lanes))

    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr:
        lanes = self.isa.lanes
        if self.isa.dot is Dot.VPDPBUSD:
            return k.call(f"int32x{lanes}", f"llvm.x86.avx512.vpdpbusd.{lanes * 32}", acc, x, w)
        return acc + k.call(f"int32x{lanes}", "llvm.x86.avx2.pmadd.wd", x, w)
