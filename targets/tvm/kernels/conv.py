"""Convolution, also grouped, depthwise and fully connected, as blocks of pixels times vectors of channels.

Activations are [row][pixel][channel] with the halo already there, so neighbouring taps of a row are
neighbouring bytes: without dilation a whole row of the kernel is one run of S * C bytes. Work items are
(block of channels, block of rows), channels outermost, so that a block's weights stay in the cache.
"""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import Block, step
from targets.tvm.kernels.emitter import Emitter, Expr, clamp_index
from targets.tvm.kernels.requantise import Requantise, split


@dataclass(frozen=True)
class Strides:
    """Bytes from one row, and from one pixel, to the next."""

    row: int
    pixel: int


@dataclass(frozen=True)
class Tile:
    """Block sizes: rows and columns of output pixels, vectors of channels, granules unrolled."""

    rows: int
    columns: int
    vectors: int
    unroll: int = 1

    @property
    def pixels(self) -> int:
        """Output pixels of a block."""
        return self.rows * self.columns


@dataclass(frozen=True)
class ConvKernel:
    """One convolution, down to its addresses. Equal kernels are compiled once.

    `taps`: rows and columns of the kernel that begin a run, `run` its bytes, `tap_step` the bytes between
    runs. `group`: output channels that share an input window, and bytes between windows; one group has
    (channels, 0).
    """

    isa: Isa
    height: int
    width: int
    channels: int
    taps: tuple[int, int]
    tap_step: tuple[int, int]
    run: int
    stride: tuple[int, int]
    x: Strides
    y: Strides
    tile: Tile
    group: tuple[int, int]
    residual: Strides | None = None
    logits: bool = False
    guard: bool = False
    clip: bool = True

    @property
    def row_blocks(self) -> int:
        """Blocks of rows; the last one overlaps its neighbour where rows do not divide."""
        return -(-self.height // self.tile.rows)

    @property
    def items(self) -> int:
        """Work items: blocks of channels times blocks of rows."""
        return self.channels // (self.tile.vectors * self.isa.lanes) * self.row_blocks

    @property
    def granules(self) -> int:
        """Granules of a run, the last one padded with zero weights."""
        return -(-self.run // step(self.isa).granule)

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter("int8" if self.isa.signed else "uint8")
        isa, tile = self.isa, self.tile
        count = step(isa).registers(tile.pixels, tile.vectors)
        acc = k.registers(count, f"int32x{isa.lanes}")
        with k.loop(k.end - k.begin, k.begin) as item:
            channels, rows = item, tirx.const(0, "int64")
            if self.row_blocks > 1:
                channels = k.let(tirx.floordiv(item, tirx.const(self.row_blocks, "int64")))
                rows = item - channels * self.row_blocks
            row = k.let(clamp_index(rows * tile.rows, 0, self.height - tile.rows))
            with k.loop(-(-self.width // tile.columns)) as columns:
                column = k.let(clamp_index(columns * tile.columns, 0, self.width - tile.columns))
                block = Block(tile.pixels, tile.vectors, k.let(channels * (tile.vectors * isa.lanes)))
                step(isa).start(k, acc, block)
                self._accumulate(k, acc, block, row, column)
                self._finish(k, acc, block, row, column)
        return k.function(name)

    def _accumulate(self, k: Emitter, acc: Any, block: Block, row: Expr, column: Expr) -> None:  # noqa: ANN401
        inner, tile = step(self.isa), self.tile
        (sy, sx), (ky, kx) = self.stride, self.taps
        granule = tile.vectors * self.isa.lanes * inner.granule
        x = row * (sy * self.x.row) + column * (sx * self.x.pixel) + self._window(block.channel)
        w = block.channel * (ky * kx * self.granules * inner.granule)
        pixels = [dy * sy * self.x.row + dx * sx * self.x.pixel for dy, dx in self._pixels()]
        unroll = min(tile.unroll * inner.unit, self.granules)
        whole = self.granules // unroll
        with k.loop(ky) as ry, k.loop(kx) as rx:
            tap = k.let(x + ry * self.tap_step[0] + rx * self.tap_step[1])
            weights = k.let(w + (ry * kx + rx) * (self.granules * granule))
            with k.loop(whole) as i:
                at = k.let(tap + i * (unroll * inner.granule))
                inner.emit(
                    k, acc, [at + p for p in pixels], k.let(weights + i * (unroll * granule)), unroll, block
                )
            if rest := self.granules - whole * unroll:
                at, done = tap + whole * unroll * inner.granule, whole * unroll * granule
                inner.emit(k, acc, [at + p for p in pixels], weights + done, rest, block)

    def _pixels(self) -> list[tuple[int, int]]:
        """Row and column of each pixel in a block. Where the output is narrower, the last column repeats."""
        last = self.width - 1
        return [(dy, min(dx, last)) for dy in range(self.tile.rows) for dx in range(self.tile.columns)]

    def _window(self, channel: Expr) -> Expr:
        """Where the input channels of an output channel's group begin."""
        per_group, distance = self.group
        if not distance:
            return tirx.const(0, "int64")
        return tirx.floordiv(channel, tirx.const(per_group, "int64")) * distance

    def _finish(self, k: Emitter, acc: Any, block: Block, row: Expr, column: Expr) -> None:  # noqa: ANN401
        lanes, inner = self.isa.lanes, step(self.isa)
        requantise = Requantise(self.isa, self.channels, self.guard, self.clip)
        base = k.let(row * self.y.row + column * self.y.pixel + block.channel)
        offsets, values = [], []
        for p, (dy, dx) in enumerate(self._pixels()):
            y, x = row + dy, column + dx
            totals = [inner.result(k, acc, p, n, block) for n in range(block.vectors)]
            multipliers = [requantise.multiplier(k, block.channel + n * lanes) for n in range(block.vectors)]
            at = dy * self.y.row + dx * self.y.pixel
            if self.logits:
                for n, (total, m) in enumerate(zip(totals, multipliers, strict=True)):
                    k.store(k.view_logits, base + (at + n * lanes), requantise.scaled(k, total, m), lanes)
                continue
            addends: list[Expr | None] = [None] * block.vectors
            if self.residual:
                addends = list(self._addends(k, requantise, y, x, block))
            sums = zip(totals, multipliers, addends, strict=True)
            values += [requantise.scaled(k, t, m, a) for t, m, a in sums]
            offsets += [at + n * lanes for n in range(block.vectors)]
        requantise.store(k, base, offsets, values)

    def _addends(self, k: Emitter, requantise: Requantise, y: Expr, x: Expr, block: Block) -> list[Expr]:
        assert self.residual is not None  # noqa: S101 -- the caller looked
        at = y * self.residual.row + x * self.residual.pixel + block.channel
        lanes = self.isa.lanes
        count = block.vectors * lanes
        if self.isa.signed and count & (count - 1) == 0:  # one wide load instead of many narrow ones
            stored = split(k.let(k.load(k.r, at, count)), k.element, count, lanes)
        else:
            stored = [k.load(k.r, at + n * lanes, lanes) for n in range(block.vectors)]
        return [requantise.addend(k, value) for value in stored]
