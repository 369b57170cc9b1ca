"""Products of words: int16 activations of some places times int16 weights of 16 output channels.

The counterpart of `inner_step` for operands that are int16 already, and for sums modulo 2**32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.x86 import add_products_of_words, multiply_words

BLOCK = 16
"""Output channels that are computed together; stored channels are a multiple of it."""


class WordProducts(Protocol):
    """How an instruction set multiplies int16 and adds up uint32."""

    @property
    def lanes(self) -> int:
        """Sums in a register."""
        ...

    @property
    def granule(self) -> int:
        """Input channels whose weights lie beside each other for each output channel."""
        ...

    @property
    def step(self) -> int:
        """Input channels that `emit` takes at a time."""
        ...

    @property
    def places(self) -> int:
        """Places whose sums are in registers together."""
        ...

    @property
    def replaces_start(self) -> bool:
        """Whether sums begin with the first products, which spares setting them to zero."""
        ...

    @property
    def cost(self) -> float:
        """Instructions for each product, loads included."""
        ...

    @property
    def cost_of_bytes(self) -> float:
        """The same for products of bytes, as convolutions multiply otherwise."""
        ...

    def emit(self, k: Emitter, acc: Buffer, x: Buffer, at: Sequence[Expr], w: Buffer, weights: Expr) -> None:
        """Add products of `step` channels: activations of each place from `at`, weights from `weights` on."""
        ...


@dataclass(frozen=True)
class PairProducts:
    """x86: vpmaddwd, two input channels a lane."""

    lanes: int
    granule: int = 2
    step: int = 4
    replaces_start: bool = False

    @property
    def places(self) -> int:
        """Weights, one vector of activations and a product need registers too."""
        return {4: 2, 8: 6, 16: 14}[self.lanes]

    @property
    def cost(self) -> float:
        """A multiplication and an addition for two products a lane, and a share of loads."""
        return 1.2 / self.lanes

    @property
    def cost_of_bytes(self) -> float:
        """The same: bytes are widened to words first."""
        return self.cost

    def emit(self, k: Emitter, acc: Buffer, x: Buffer, at: Sequence[Expr], w: Buffer, weights: Expr) -> None:
        """Load weights once, then go over the places."""
        vectors, words = BLOCK // self.lanes, 2 * self.lanes
        for pair in range(self.step // 2):
            first = weights + pair * 2 * BLOCK
            loaded = [k.let(k.load(w, first + n * words, words)) for n in range(vectors)]
            for place, begin in enumerate(at):
                both = tirx.reinterpret("int32", k.load(x, begin + 2 * pair, 2))
                activation = k.let(tirx.reinterpret(f"int16x{words}", splat(both, self.lanes)))
                for n in range(vectors):
                    index = place * vectors + n
                    k.store(acc, index, self._added(k, k.load(acc, index), activation, loaded[n]))

    def _added(self, k: Emitter, total: Expr, activation: Expr, weights: Expr) -> Expr:
        """A register of sums with two products more in each lane."""
        product = multiply_words(k, self.lanes, activation, weights)
        return total + tirx.reinterpret(f"uint32x{self.lanes}", product)


@dataclass(frozen=True)
class FusedPairProducts(PairProducts):
    """x86 with VNNI: vpdpwssd multiplies as vpmaddwd does, and adds."""

    @property
    def cost(self) -> float:
        """One instruction for two products a lane, and a share of loads."""
        return 0.7 / self.lanes

    @property
    def cost_of_bytes(self) -> float:
        """One instruction for four products a lane, and a share of loads."""
        return 0.35 / self.lanes

    def _added(self, k: Emitter, total: Expr, activation: Expr, weights: Expr) -> Expr:
        """A register of sums with two products more in each lane."""
        sums = tirx.reinterpret(f"int32x{self.lanes}", total)
        added = add_products_of_words(k, self.lanes, sums, activation, weights)
        return tirx.reinterpret(f"uint32x{self.lanes}", added)


@dataclass(frozen=True)
class LaneProducts:
    """ARM: smlal, with the activation from one lane of a register of eight, or of four."""

    step: int
    lanes: int = 4
    granule: int = 1
    replaces_start: bool = True
    places: int = 5
    """Their sums take 20 registers, their activations 5, weights 2, and LLVM moves some ahead."""
    cost: float = 0.28
    cost_of_bytes: float = 0.2
    """Three instructions for 16 products."""

    def emit(self, k: Emitter, acc: Buffer, x: Buffer, at: Sequence[Expr], w: Buffer, weights: Expr) -> None:
        """Load the channels of each place, then go over them."""
        loaded = [k.let(k.load(x, begin, self.step)) for begin in at]
        for channel in range(self.step):
            eights = [k.let(k.load(w, weights + (channel * BLOCK + n * 8), 8)) for n in range(BLOCK // 8)]
            fours = [part("int16x4", eight) for eight in eights for part in (tirx.vectorlow, tirx.vectorhigh)]
            for place, activations in enumerate(loaded):
                one = splat(tirx.Shuffle([activations], [channel]), 4)
                for n, four in enumerate(fours):
                    index = place * len(fours) + n
                    product = k.call("int32x4", "llvm.aarch64.neon.smull.v4i32", four, one)
                    k.store(acc, index, k.load(acc, index) + tirx.reinterpret("uint32x4", product))
