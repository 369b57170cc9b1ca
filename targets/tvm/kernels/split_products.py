"""Products of bytes that have been split, for x86 without VNNI: exact, though vpmaddubsw saturates.

Of low bits times weights, four products are added in int16. They fit, because `excess_weights` has moved the
others to a list of granules for each block of channels, which are multiplied apart. Top bits are 0 or 1;
their products count 128 times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.inner_step import Accumulators, Reads
from targets.tvm.kernels.split_bytes import GRANULE, LOW_BITS, MASK_BYTES, MASK_CHANNELS, SplitBytes
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.x86 import BroadcastStep, multiply_bytes, multiply_words

EXCESS_HEADER = 64
"""Bytes in front of the weights of an entry of the list: offset of the activations, mask, and bit in it."""


@dataclass(frozen=True)
class SplitStep(BroadcastStep):
    """Two granules of seven bits at a time: two multiplications, and int16 added up once."""

    granule: int = GRANULE
    unit: int = 2
    mnemonic: str = "v?pmaddubsw"
    products: int = 4
    unroll: int = 1
    independent: int = 3  # only an addition waits for the one before

    def operands(self, pixels: int, read: int, vectors: int) -> int:  # noqa: ARG002 -- the same for all
        """Weights of two granules, their activations, ones, and a product on its way."""
        return 2 * vectors + 4

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Load the weights of both granules, then go over the pixels."""
        (offsets,) = reads
        weights = [self.weights(k, w, g, block.vectors) for g in range(granules)]
        ones = splat(tirx.const(1, "int16"), 2 * self.lanes)
        for p, offset in enumerate(offsets):
            found = [self.activation(k, base + (offset + g * GRANULE)) for g in range(granules)]
            activations = [k.let(activation) for activation in found]
            for n in range(block.vectors):
                words: Expr = None
                for activation, loaded in zip(activations, weights, strict=True):
                    product = multiply_bytes(k, self.lanes, activation, loaded[n])
                    words = product if words is None else words + product
                at = p * block.vectors + n
                k.store(acc, at, k.load(acc, at) + multiply_words(k, self.lanes, words, ones))

    def weights(self, k: Emitter, w: Expr, granule: int, vectors: int) -> list[Expr]:
        """The weights of a granule, behind `w`."""
        width = self.lanes * GRANULE
        return [k.let(k.load(k.w, w + (granule * vectors + n) * width, width)) for n in range(vectors)]

    def _weights(self, k: Emitter, offset: Expr, width: int) -> Expr:
        return k.load(k.w, offset, width)

    def activation(self, k: Emitter, offset: Expr) -> Expr:
        """The bytes of a granule, in every lane."""
        four = tirx.reinterpret("int32", k.load(k.source, offset, GRANULE))
        return tirx.reinterpret(f"int8x{self.lanes * 4}", splat(four, self.lanes))

    def _dot(self, k: Emitter, acc: Expr, x: Expr, w: Expr) -> Expr:
        ones = splat(tirx.const(1, "int16"), 2 * self.lanes)
        return acc + multiply_words(k, self.lanes, multiply_bytes(k, self.lanes, x, w), ones)


@dataclass(frozen=True)
class SplitWindow:
    """A window of split pixels: rows and columns of its taps, and how far apart these and windows are.

    `tap`: bytes between rows of taps, and pixels between columns. `next`: the same between windows.
    """

    split: SplitBytes
    taps: tuple[int, int]
    tap: Strides
    next: Strides


@dataclass(frozen=True)
class SplitRest:
    """The products that a block of sums still lacks after those of low bits. `x`: where windows begin."""

    step: SplitStep
    window: SplitWindow
    acc: Buffer
    block: Accumulators
    x: Expr

    def top_bits(self, k: Emitter, w: Expr) -> None:
        """Multiply the granules with top bits; `w`: where the block's weights begin."""
        window, split = self.window, self.window.split
        each = split.channels // GRANULE
        rows, columns = window.taps
        with k.loop(rows) as ry, k.loop(columns) as rx:
            tap = k.let(ry * (window.tap.row // MASK_BYTES) + rx * (window.tap.pixel * split.masks))
            x = k.let(self.x + ry * window.tap.row + rx * (window.tap.pixel * split.channels))
            weights = k.let(w + (ry * columns + rx) * (each * self._granule))
            with k.loop(split.masks) as n:
                mask = self._mask(k, tap + n)
                with k.when(tirx.NE(mask, tirx.const(0, "uint64"))):
                    at = k.let(x + (n * MASK_CHANNELS + split.top_bits))
                    self._masked(k, mask, at, k.let(weights + n * (MASK_CHANNELS // GRANULE * self._granule)))

    def excess(self, k: Emitter, table: int, blocks: int, number: Expr) -> None:
        """Multiply the list's entries for the block of channels `number`. `table`: the list, from w on."""
        ints = k.view("w", "int32")
        bounds = [k.let(k.load(ints, number + (table // 4 + i)).astype("int64")) for i in range(2)]
        entries, size = table + excess_bounds(blocks), EXCESS_HEADER + self._granule
        with k.loop(bounds[1] - bounds[0], bounds[0]) as n:
            entry = k.let(n * size + entries)
            header = tirx.floordiv(entry, tirx.const(4, "int64"))
            offset, mask, bit = (k.let(k.load(ints, header + i).astype("int64")) for i in range(3))
            weights = self.step.weights(k, entry + EXCESS_HEADER, 0, self.block.vectors)
            x = k.let(self.x + offset)
            self._add(k, x, weights, 1)
            found = tirx.shift_right(self._mask(k, mask), bit.astype("uint64")) & tirx.const(1, "uint64")
            with k.when(tirx.NE(found, tirx.const(0, "uint64"))):
                self._add(k, k.let(x + self.window.split.top_bits), weights, 1 << LOW_BITS)

    def _mask(self, k: Emitter, at: Expr) -> Expr:
        """The mask of all pixels of the block together; `at`: masks from the first of a window's pixel on."""
        block, next_, split = self.block, self.window.next, self.window.split
        masks, row, pixel = k.view("x", "uint64"), next_.row // MASK_BYTES, next_.pixel * split.masks
        first = k.let(at + block.row * row + block.column * pixel + split.first_mask // MASK_BYTES)
        found: Expr = tirx.const(0, "uint64")
        for dy, dx in block.places:
            found = found | k.load(masks, first + (dy * row + dx * pixel))
        return k.let(found)

    @property
    def _granule(self) -> int:
        """Bytes of a granule's weights."""
        return self.block.vectors * self.step.lanes * GRANULE

    def _masked(self, k: Emitter, mask: Expr, x: Expr, w: Expr) -> None:
        """Multiply the granules of a mask."""
        left, nothing = k.registers(1, "uint64"), tirx.const(0, "uint64")
        k.store(left, 0, mask)
        with k.repeat(tirx.NE(k.load(left, 0), nothing)):
            now = k.let(k.load(left, 0))
            k.store(left, 0, now & (now - tirx.const(1, "uint64")))
            granule = k.let(k.call("uint64", "llvm.cttz.i64", now, tirx.const(True, "bool")).astype("int64"))
            weights = self.step.weights(k, k.let(w + granule * self._granule), 0, self.block.vectors)
            self._add(k, k.let(x + granule * GRANULE), weights, 1 << LOW_BITS)

    def _add(self, k: Emitter, x: Expr, weights: Sequence[Expr], times: int) -> None:
        """Add the products of one granule of every pixel of the block, `times` times."""
        following, step = self.window.next, self.step
        weight = splat(tirx.const(times, "int16"), 2 * step.lanes)
        for p, (dy, dx) in enumerate(self.block.places):
            offset = dy * following.row + dx * following.pixel * self.window.split.channels
            activation = k.let(step.activation(k, x + offset))
            for n, loaded in enumerate(weights):
                at = p * len(weights) + n
                product = multiply_bytes(k, step.lanes, activation, loaded)
                found = k.load(self.acc, at) + multiply_words(k, step.lanes, product, weight)
                k.store(self.acc, at, found)


def excess_bounds(blocks: int) -> int:
    """Bytes of the table of where each block's entries begin."""
    return -(-4 * (blocks + 1) // EXCESS_HEADER) * EXCESS_HEADER
