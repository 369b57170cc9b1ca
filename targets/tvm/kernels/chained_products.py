"""Products of bytes on ARM without dot product, with four of a lane added up in int16 where they fit.

`smull` and `smlal2` add two products in int16, which always fit, and `sadalp` widens their sum. The products
of two granules fit as well where four weights are small: then sums are widened half as often, with five
instructions instead of six. `chained_weights` finds the granules that go together. Each block of channels has
its own order of granules, so the kernel reads from a list where their activations are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from targets.tvm.kernels.arm import PairwiseStep
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr
from targets.tvm.kernels.inner_step import Accumulators

MOST_TOGETHER = (1 << 15) // 128 - 1
"""The largest sum of the absolute values of four weights: times -128 it fits int16."""
BLOCK = 4
"""Channels of a block. The more there are, the fewer granules go together."""
_GRANULE = PairwiseStep.granule
_INTS_OF_A_LINE = 16


@dataclass(frozen=True)
class Chains:
    """The list of a layer with `granules` granules in each block of channels.

    For each block: the offsets of activations in the order of the weights, two of a pair, then single ones;
    then how many times two pairs there are. `paired`: every block has some.
    """

    granules: int
    paired: bool

    @property
    def row(self) -> int:
        """int32 of one block, in whole cache lines."""
        return -(-(self.granules + 1) // _INTS_OF_A_LINE) * _INTS_OF_A_LINE


@dataclass(frozen=True)
class ChainedStep(PairwiseStep):
    """The step of such layers: one or two granules at a time."""

    writes_taps_out: bool = False

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """The activations of two granules, their weights, and products on their way."""
        return 2 * pixels + 4


@dataclass(frozen=True)
class ChainedProducts:
    """Adds up a block's products: activations from `base` + each offset on, weights from `w` on."""

    acc: Buffer
    block: Accumulators
    base: Expr
    offsets: Sequence[int]
    w: Expr

    def emit(self, k: Emitter, chains: Chains, row: Expr, add: bool) -> None:
        """`row`: where the block's part of the list begins, in int32. Without `add`, sums begin here."""
        ints = k.view("w", "int32")
        twice = k.let(k.load(ints, row + chains.granules).astype("int64"))
        begins = int(chains.paired and not add)
        if begins:
            self._two_pairs(k, row, tirx.const(0, "int64"), add=False)
        with k.loop(twice - begins, begins) as n:
            self._two_pairs(k, row, n)
        with k.loop(chains.granules - twice * 4, twice * 4) as n:
            offset = k.load(ints, row + n).astype("int64")
            self._multiply(k, [offset], k.let(self.w + n * (BLOCK * _GRANULE)))

    def _two_pairs(self, k: Emitter, row: Expr, number: Expr, add: bool = True) -> None:
        """Multiply two pairs of granules. Both offsets of a pair are loaded together."""
        w, pairs = k.let(self.w + number * (4 * BLOCK * _GRANULE)), k.view("w", "uint64")
        first = tirx.floordiv(row, tirx.const(2, "int64")) + number * 2
        ones, upper = tirx.const(0xFFFFFFFF, "uint64"), tirx.const(32, "uint64")
        for pair in range(2):
            both = k.let(k.load(pairs, first + pair))
            offsets = [part.astype("int64") for part in (both & ones, tirx.shift_right(both, upper))]
            self._multiply(k, offsets, w + pair * (2 * BLOCK * _GRANULE), add or pair > 0)

    def _multiply(self, k: Emitter, where: list[Expr], w: Expr, add: bool = True) -> None:
        """Multiply granules, the activations of which are at offsets `where`."""
        begins = [k.let(self.base + offset) for offset in where]
        x = [[_whole(k, begin + offset) for offset in self.offsets] for begin in begins]
        for n in range(BLOCK):
            at = [w + (n * len(x) + i) * _GRANULE for i in range(len(x))]
            weights = [k.let(k.load(k.w, one, _GRANULE)) for one in at]
            for p in range(self.block.pixels):
                words = _words(k, [(loaded[p], weight) for loaded, weight in zip(x, weights, strict=True)])
                total = k.call("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", words)
                sums = p * BLOCK + n
                k.store(self.acc, sums, k.load(self.acc, sums) + total if add else total)


def _whole(k: Emitter, at: Expr) -> Expr:
    """Load activations. The fence keeps LLVM from loading their halves, for which it has no smlal2."""
    loaded = tirx.reinterpret("float32x4", k.load(k.x, at, _GRANULE))
    fenced = k.call("float32x4", "llvm.arithmetic.fence.v4f32", loaded)
    return k.let(tirx.reinterpret("int8x16", fenced))


def _words(k: Emitter, factors: list[tuple[Expr, Expr]]) -> Expr:
    """The products of both halves of each pair of vectors, added up in int16."""
    found: Expr = None
    for x, w in factors:
        for half in (tirx.vectorlow, tirx.vectorhigh):
            product = k.call("int16x8", "llvm.aarch64.neon.smull.v8i16", half("int8x8", w), half("int8x8", x))
            found = product if found is None else found + product
    return found
