"""Convolution, also grouped, depthwise and fully connected, as blocks of pixels times vectors of channels.

Activations are [row][pixel][channel] with the halo already there, so neighbouring taps of a row are
neighbouring bytes: without dilation a whole row of the kernel is one run of S * C bytes. Work items are
blocks of channels times blocks of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import Isa
from targets.tvm.kernels.chained_products import ChainedProducts, Chains
from targets.tvm.kernels.dot import inner_step
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.inner_step import Accumulators, InnerStep, Reads, places
from targets.tvm.kernels.prefetch import Ahead
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.results import Results
from targets.tvm.kernels.split_products import SplitRest, SplitStep
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.window_runs import WindowRuns
from targets.tvm.tile import Cut, Tile, cut, cut_columns

_WRITTEN_OUT = 18
"""Up to this many granules of a pixel are multiplied without a loop."""
_MORE_THAN_TURNS = 40
"""A convolution has fewer than 2**40 blocks."""


@dataclass(frozen=True, kw_only=True)
class ConvKernel:
    """One convolution, down to its addresses. Equal kernels are compiled once.

    `channels` as stored, `y` and `residual` the bytes between rows and pixels of what is written and added.
    """

    isa: Isa
    height: int
    width: int
    channels: int
    windows: WindowRuns
    tile: Tile
    limits: ResultRange
    y: Strides
    residual: Strides | None = None
    logits: bool = False
    """The sums leave as float32."""
    applied: RegisterFunction | None = None

    @property
    def row_blocks(self) -> int:
        """Blocks of rows."""
        return sum(piece.count for piece in self._rows)

    @property
    def column_blocks(self) -> int:
        """Blocks of columns in the first block of rows."""
        return sum(piece.count for piece in cut_columns(self.width, self.tile, self._rows[0].size))

    @property
    def channel_blocks(self) -> int:
        """Blocks of channels."""
        return self.channels // (self.tile.vectors * self.isa.lanes)

    @property
    def items(self) -> int:
        """Work items: blocks of channels times blocks of rows."""
        return self.row_blocks if self.windows.gather else self.channel_blocks * self.row_blocks

    @property
    def inner(self) -> InnerStep:
        """How products are added up."""
        windows = self.windows
        return inner_step(
            self.isa,
            windows.chunk,
            words=windows.words,
            split=windows.split is not None,
            chained=windows.chains is not None,
        )

    @property
    def _rows(self) -> tuple[Cut, ...]:
        return cut(self.height, self.tile.rows, 2 if self.windows.pairs else 1)

    @property
    def row_step(self) -> int:
        """Bytes between the windows of a row of results and those of the next."""
        return self.windows.next.row * self.windows.element

    @property
    def reach(self) -> int:
        """Bytes from the first that the windows of a row of results read to the one after the last."""
        return self.windows.reach(self.width) * self.windows.element

    def rows(self, items: range) -> range:
        """The rows of results that work items belong to, and maybe more between them."""
        if self.items != self.row_blocks:
            return range(self.height)
        starts = [p.first + n * p.size for p in self._rows for n in range(p.count)] + [self.height]
        return range(starts[items.start], starts[items.stop])

    @property
    def stay(self) -> str:
        """The operand that stays in the cache: see Tile."""
        return "pixels" if self.windows.gather else self.tile.stay

    @property
    def granules(self) -> int:
        """Granules of a run, the last one padded with zero weights."""
        return -(-self.windows.run // self.inner.granule)

    @property
    def unrolled(self) -> bool:
        """Whether all taps are written out: where LLVM still finds registers for all."""
        granules = self.windows.count * self.granules
        return self.inner.writes_taps_out and granules <= _WRITTEN_OUT and not self.windows.gather

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter(self.isa.stored)
        with k.items() as item:
            channels, rows = self._split(k, item)
            turn = k.let((rows if self.stay == "weights" else item) * self.column_blocks)
            before = 0
            for piece in self._rows:
                here = (rows < piece.count) if before == 0 else (rows >= before)
                with k.when(here if len(self._rows) > 1 else True):
                    row = k.let((rows - before) * piece.size + piece.first)
                    self._row_of_blocks(k, row, piece.size, channels, turn)
                before += piece.count
        return k.function(name)

    def _row_of_blocks(self, k: Emitter, row: Expr, rows: int, channels: Expr, turn: Expr) -> None:
        """The blocks beside each other that begin in `row`."""
        before = 0
        for piece in cut_columns(self.width, self.tile, rows):
            block = Accumulators(places(rows, piece.size, self.inner.pair), self.tile.vectors, row)
            with k.loop(piece.count) as columns:
                block = replace(block, column=k.let(columns * piece.size + piece.first))
                self._block(k, block, channels, turn + columns + before)
            before += piece.count

    def _block(self, k: Emitter, block: Accumulators, channels: Expr, turn: Expr) -> None:
        """One block of channels; where windows are gathered, all of them."""
        repeat, base = 1, k.let(block.row * self.windows.next.row + block.column * self.windows.next.pixel)
        offsets = [dy * self.windows.next.row + dx * self.windows.next.pixel for dy, dx in block.places]
        if self.windows.gather:
            repeat, offsets = self.channel_blocks, self.windows.gather.emit(k, base, offsets)
            base = tirx.const(0, "int64")
        acc = k.registers(self.inner.registers(block.pixels, block.vectors), f"int32x{self.isa.lanes}")
        with k.loop(repeat) as more:
            block = replace(block, channel=k.let((channels + more) * (block.vectors * self.isa.lanes)))
            if self.windows.low:
                self._start_with_high_bytes(k, acc, block, base, offsets, turn * repeat + more)
            else:
                self.inner.start(k, acc, block)
            self._accumulate(k, acc, block, base + self.windows.low, offsets, turn * repeat + more)
            self._add_rest(k, acc, block, base)
            self._results.emit(k, acc, block)

    def _start_with_high_bytes(
        self, k: Emitter, acc: Buffer, block: Accumulators, base: Expr, offsets: Sequence[int], turn: Expr
    ) -> None:
        """Begin with 256 times the sums of high bytes, besides the biases."""
        lanes = self.isa.lanes
        registers = range(self.inner.registers(block.pixels, block.vectors))
        zero, eight = (splat(tirx.const(value, "int32"), lanes) for value in (0, 8))
        for i in registers:
            k.store(acc, i, zero)
        self._accumulate(k, acc, block, base, offsets, turn)
        sums = [k.let(tirx.shift_left(k.load(acc, i), eight)) for i in registers]
        self.inner.start(k, acc, block)
        for i, total in zip(registers, sums, strict=True):
            k.store(acc, i, k.load(acc, i) + total)

    def _add_rest(self, k: Emitter, acc: Buffer, block: Accumulators, base: Expr) -> None:
        """Add the products of split activations that are still missing: top bits and excess weights."""
        window = self.windows.of_split
        if window is None:
            return
        rest = SplitRest(SplitStep(self.isa.lanes), window, acc, block, base)
        of_channel = self.windows.count * self.granules * self.inner.granule
        number = tirx.floordiv(block.channel, tirx.const(block.vectors * self.isa.lanes, "int64"))
        rest.excess(k, self.channels * of_channel, self.channel_blocks, number)
        rest.top_bits(k, block.channel * of_channel)

    @property
    def _results(self) -> Results:
        last = self.height - 1 if self.windows.pairs and self.height % 2 else None
        multiply = Requantise(self.isa, self.channels, self.limits, function=self.applied, y=self.y)
        return Results(multiply, self.inner, self.y, self.residual, self.logits, last)

    def _split(self, k: Emitter, item: Expr) -> tuple[Expr, Expr]:
        """A work item's (first) block of channels and block of rows."""
        if self.windows.gather:
            return tirx.const(0, "int64"), item
        if self.tile.stay == "weights":
            inner, outermost = self.row_blocks, 0
        else:
            inner, outermost = self.channel_blocks, 1
        if inner == 1:
            parts = [item, tirx.const(0, "int64")]
        else:
            outer = k.let(tirx.floordiv(item, tirx.const(inner, "int64")))
            parts = [outer, k.let(item - outer * inner)]
        return parts[outermost], parts[1 - outermost]

    def _accumulate(
        self,
        k: Emitter,
        acc: Buffer,
        block: Accumulators,
        base: Expr,
        offsets: Sequence[int],
        turn: Expr,
    ) -> None:
        """Add up the windows that begin at `base` + each offset."""
        inner, tile = self.inner, self.tile
        ky, kx = self.windows.taps
        granule = tile.vectors * self.isa.lanes * inner.granule
        per_run = self.granules * len(self.windows.spread)
        x = base + self._window(block.channel)
        w = block.channel * (ky * kx * per_run * inner.granule) + self._unknown(turn)
        reads = [[tap + offset for offset in offsets] for tap in self.windows.spread]
        unroll = min(tile.unroll * inner.unit, self.granules)
        whole = self.granules // unroll
        size, turns = ky * kx * per_run * granule, self.row_blocks * self.column_blocks
        following = w + size
        if self.stay == "pixels":  # then the next layer's weights follow
            size, turns = size * self.channel_blocks, turns * self.channel_blocks
            following = tirx.const(size, "int64")
        chains = self.windows.chains
        ahead = Ahead.plan(size, (turns,) if chains else (turns, ky * kx, whole))
        following = k.let(following)
        ahead.emit(k, 0, following, turn)
        if chains:
            self._chained(k, chains, ChainedProducts(acc, block, x, offsets, w))
            return

        for ry in k.each(ky, self.unrolled):
            for rx in k.each(kx, self.unrolled):
                now = turn * (ky * kx) + (ry * kx + rx)
                ahead.emit(k, 1, following, now)
                tap = k.let(x + ry * self.windows.tap_step[0] + rx * self.windows.tap_step[1])
                weights = k.let(w + (ry * kx + rx) * (per_run * granule))
                for i in k.each(whole, self.unrolled):
                    ahead.emit(k, 2, following, now * whole + i)
                    at = k.let(tap + i * (unroll * inner.advance))
                    chunk = k.let(weights + i * (unroll * granule * len(self.windows.spread)))
                    self._multiply(k, acc, at, reads, chunk, unroll, block)
                if rest := self.granules - whole * unroll:
                    at, done = tap + whole * unroll * inner.advance, whole * unroll * granule
                    self._multiply(k, acc, at, reads, weights + done * len(self.windows.spread), rest, block)

    def _chained(self, k: Emitter, chains: Chains, products: ChainedProducts) -> None:
        """Add up granules in the order of a list, which follows the weights."""
        channel, lists = products.block.channel, self.channels * self.windows.count * self.granules * 4
        number = tirx.floordiv(channel, tirx.const(self.isa.lanes, "int64"))
        products.emit(k, chains, k.let(number * chains.row + lists), add=bool(self.windows.low))

    def _unknown(self, turn: Expr) -> Expr:
        """Zero, in a form that LLVM cannot fold where weights are to stay in memory."""
        if not self.inner.keeps_weights_in_memory:
            return tirx.const(0, "int64")
        return tirx.shift_right(turn, tirx.const(_MORE_THAN_TURNS, "int64"))

    def _multiply(
        self, k: Emitter, acc: Buffer, base: Expr, reads: Reads, w: Expr, granules: int, block: Accumulators
    ) -> None:
        """Accumulate granules in the order of the weights: all taps that are read together, unit by unit."""
        inner, each = self.inner, block.vectors * self.isa.lanes * self.inner.granule * len(reads)
        for first in range(0, granules, inner.unit):
            count = min(inner.unit, granules - first)
            inner.emit(k, acc, base + first * inner.advance, reads, w + first * each, count, block)

    def _window(self, channel: Expr) -> Expr:
        """Where the input channels of an output channel's group begin."""
        outputs, inputs, last = self.windows.group
        if not last:
            return tirx.const(0, "int64")
        first = tirx.floordiv(channel, tirx.const(outputs, "int64")) * inputs
        return tirx.min(first, tirx.const(last, "int64"))
