"""The interface of inner steps of a convolution, one for each kind of instruction.

A block of accumulators belongs to `pixels` output pixels and `channels` output channels. Weights are packed
[block][run][granule][channel][byte]: a granule is the bytes of one channel that one instruction takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from targets.tvm.kernels.emitter import Buffer, Emitter, Expr

Places = tuple[tuple[int, int], ...]
"""Row and column of each pixel of a block, relative to its first one."""


@dataclass(frozen=True)
class Accumulators:
    """The accumulators of a block: pixels times vectors of channels, from a row, column and channel on."""

    places: Places
    vectors: int
    row: Expr
    column: Expr = 0
    channel: Expr = 0

    @property
    def pixels(self) -> int:
        """How many, with those that are there twice to make pairs."""
        return len(self.places)


def places(rows: int, columns: int, pair: int) -> Places:
    """The pixels of a block. Pairs stand below each other where there are two rows: taps of a row share them.

    An odd one is paired with itself.
    """
    if pair == 1:
        return tuple(product(range(rows), range(columns)))
    found = [(dy, dx) for dx, dy in product(range(columns), range(rows))]
    return tuple(found + found[-1:] * (len(found) % pair))


Reads = Sequence[Sequence[int]]
"""For each tap of a row that is computed together: where each pixel's activations are, relative to a base."""


class InnerStep(Protocol):
    """How an instruction set multiplies and accumulates, and all facts that depend on it.

    Code that chooses block sizes, reads assembly or tunes uses these facts, and knows no instruction by name.
    """

    @property
    def mnemonic(self) -> str:
        """The instruction in assembly, as a regular expression."""
        ...

    @property
    def products(self) -> int:
        """Multiply-accumulates of one instruction for each int32 of a register (of the three of smull)."""
        ...

    @property
    def granule(self) -> int:
        """Bytes of input channels one instruction takes: weights are padded with zeros to a multiple."""
        ...

    @property
    def advance(self) -> int:
        """Bytes from one granule's activations to the next."""
        ...

    @property
    def unit(self) -> int:
        """Granules that share one load of activations."""
        ...

    @property
    def pair(self) -> int:
        """Pixels that share one accumulator register; a block has a multiple of it."""
        ...

    @property
    def unroll(self) -> int:
        """Units that one turn of a loop takes, where there are several and nothing was measured."""
        ...

    @property
    def pairs_rows(self) -> bool:
        """Whether it multiplies two pixels at a time, and so gains where rows were paired before."""
        ...

    @property
    def writes_taps_out(self) -> bool:
        """Whether sums start at zero. If all taps are unrolled, the first products then replace the start."""
        ...

    @property
    def keeps_weights_in_memory(self) -> bool:
        """Whether LLVM has to be kept from loading a small layer's weights once for all pixels.

        Having no registers for them, it would then read them from the stack: with smmla 10 % of such layers'
        instructions. For the others that is no worse than reading them where they are.
        """
        ...

    @property
    def exposed_loads(self) -> float:
        """The cost of a load in units of a dot instruction. It is low where both run in parallel."""
        ...

    @property
    def independent(self) -> int:
        """How many independent sums keep the pipelines busy."""
        ...

    @property
    def rated_by_mca(self) -> bool:
        """Whether llvm-mca's model of the processor tells good inner loops from worse ones."""
        ...

    def registers(self, pixels: int, vectors: int) -> int:
        """How many accumulator registers a block takes."""
        ...

    def operands(self, pixels: int, read: int, vectors: int) -> int:
        """Registers besides the accumulators, for `pixels` results and the `read` pixels of their windows."""
        ...

    def weight_loads(self, vectors: int) -> float:
        """Instructions that load one granule's weights of `vectors` vectors of channels."""
        ...

    def start(self, k: Emitter, acc: Buffer, block: Accumulators) -> None:
        """Set the accumulators, to the biases where the register layout allows it."""
        ...

    def emit(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Accumulate `granules` granules of each tap: activations from `base`, weights from `w` on."""
        ...

    def result(self, k: Emitter, acc: Buffer, pixel: int, vector: int, block: Accumulators) -> Expr:
        """The int32 sums, bias included, of `lanes` channels of one pixel."""
        ...


def pack(weight: NDArray[np.int8], channels: int, granule: int) -> NDArray[np.int8]:
    """Reorder weights [K, taps, bytes] to [K / channels, taps, bytes / granule, channels, granule]."""
    count, taps, length = weight.shape
    blocks = weight.reshape(count // channels, channels, taps, length // granule, granule)
    return np.ascontiguousarray(blocks.transpose(0, 2, 3, 1, 4))


def start_with_bias(k: Emitter, acc: Buffer, block: Accumulators, lanes: int) -> None:
    """Set accumulators that hold `lanes` channels of one pixel to the biases."""
    for n in range(block.vectors):
        bias = k.let(k.load(k.ints, block.channel + n * lanes, lanes))
        for p in range(block.pixels):
            k.store(acc, p * block.vectors + n, bias)


class LoadedActivations:
    """Activations already in registers, by where they were read: taps of neighbouring pixels overlap."""

    def __init__(self, k: Emitter, base: Expr, dtype: str) -> None:
        self._k, self._base, self._dtype = k, base, dtype
        self._loaded: dict[int, Expr] = {}

    def at(self, offset: int) -> Expr:
        """16 bytes as a vector of `dtype`, loaded at the first use."""
        if offset not in self._loaded:
            loaded = self._k.load(self._k.source, self._base + offset, 16)
            self._loaded[offset] = self._k.let(tirx.reinterpret(self._dtype, loaded))
        return self._loaded[offset]
