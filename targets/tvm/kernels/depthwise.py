"""Depthwise convolution: a vector of channels times the taps of the kernel, for any number of channels.

A block is some rows and columns of results, written out: see `depthwise_block`. Rows of pixels that are
multiplied together are interleaved first (`tap_plan`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from targets.tvm.isa import Isa
from targets.tvm.kernels.depthwise_block import BlockByColumns, BlockByParts
from targets.tvm.kernels.depthwise_window import DepthwiseShape, TapBlock, TapWindow, window_plan
from targets.tvm.kernels.dot import widest_tap_step
from targets.tvm.kernels.emitter import Emitter, Expr
from targets.tvm.kernels.tap_step import WEIGHT_BYTES, TapStep
from targets.tvm.tile import Cut, cut

_MOST_WRITTEN_OUT = 420
"""Multiplications of a block: more code than that does not stay in the cache of instructions."""
_MOST_OF_ONE_RESULT = 2500
"""A single result may have more: all the kernel's taps."""


def chunks(channels: int, isa: Isa, wide: bool) -> Iterator[Cut]:
    """Cut stored channels into vectors: as many of the widest as there are, then narrower ones."""
    first, width = 0, widest_tap_step(isa, wide).channels
    while first < channels:
        if count := (channels - first) // width:
            yield Cut(first, count, width)
        first, width = first + count * width, width // 2


@dataclass(frozen=True, kw_only=True)
class DepthwiseKernel(DepthwiseShape):
    """The kernel of one convolution, down to its addresses."""

    @property
    def pieces(self) -> tuple[Cut, ...]:
        """Blocks of rows; weights are packed for each of their sizes."""
        return cut(self.height, self.block.rows)

    @property
    def items(self) -> int:
        """Work items: blocks of rows."""
        return sum(piece.count for piece in self.pieces)

    @property
    def row_step(self) -> int:
        """Bytes between the windows of a row of results and those of the next."""
        return self.window.stride[0] * self.x.row * self.x.element

    @property
    def reach(self) -> int:
        """Bytes from the first that the windows of a row of results read to the one after the last."""
        (kh, kw), (dh, dw), sx = self.window.kernel, self.window.dilation, self.window.stride[1]
        columns = (self.width - 1) * sx + (kw - 1) * dw + 1
        rows = (kh - 1) * dh * self.x.row * self.x.element
        return rows + self.x.span(columns, self.window.planes * self.channels)

    def rows(self, items: range) -> range:
        """The rows of results that work items belong to."""
        starts = [p.first + n * p.size for p in self.pieces for n in range(p.count)] + [self.height]
        return range(starts[items.start], starts[items.stop])

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter(self.isa.stored, said_flat=True)
        with k.items() as item:
            before = weights = 0
            for piece in self.pieces:
                here = (item < piece.count) if before == 0 else (item >= before)
                with k.when(here if len(self.pieces) > 1 else True):
                    row = k.let((item - before) * piece.size + piece.first)
                    self._rows(k, row, piece.size, weights)
                before += piece.count
                weights += self.channels * self._weight_bytes(piece.size)
        return k.function(name)

    def _weight_bytes(self, rows: int) -> int:
        """Bytes of one channel's weights, for a block of `rows` rows."""
        return self.plan(rows).products * self.window.kernel[1] * WEIGHT_BYTES

    def _rows(self, k: Emitter, row: Expr, rows: int, weights: int) -> None:
        """All channels and columns of a block of rows."""
        for chunk in chunks(self.channels, self.isa, self.wide):
            with k.loop(chunk.count) as n:
                channel = k.let(n * chunk.size + chunk.first)
                w = k.let(channel * self._weight_bytes(rows) + weights)
                step = self.step(chunk.size)
                kind = BlockByParts if step.parts and not self.x.low else BlockByColumns
                start = tirx.const(0, "int64")
                block = kind(self, k, step, TapBlock(rows, 1), row, start, channel, w).begun()
                for columns in cut(self.width, self.block.columns):
                    with k.loop(columns.count) as m:
                        column = k.let(m * columns.size + columns.first)
                        replace(block, size=TapBlock(rows, columns.size), column=column).emit()


def choose_block(window: TapWindow, height: int, width: int, isa: Isa, wide: bool) -> TapBlock | None:
    """The block with the fewest estimated instructions for each result; None if the kernel is too large.

    `wide`: what it reads has 16 bits.
    """
    step, passes = widest_tap_step(isa, wide), 2 if wide and isa.bytes_apart else 1
    sizes = [
        TapBlock(rows, columns)
        for rows in range(1, min(height, step.rows) + 1)
        for columns in range(1, min(width, step.columns) + 1)
    ]
    fitting = [size for size in sizes if passes * _written_out(window, size, step) <= _MOST_WRITTEN_OUT]
    if fitting:
        return min(fitting, key=lambda size: _cost(window, size, step))
    return sizes[0] if passes * _written_out(window, sizes[0], step) <= _MOST_OF_ONE_RESULT else None


def _written_out(window: TapWindow, size: TapBlock, step: TapStep) -> int:
    """Multiplications of a block in the code."""
    return window_plan(window, size.rows, step).products * window.kernel[1] * size.columns * step.registers


def _cost(window: TapWindow, size: TapBlock, step: TapStep) -> float:
    """Estimated instructions of a vector of results."""
    plan = window_plan(window, size.rows, step)
    rows = sum(len(group) for group in plan.groups)
    read = len(list(window.columns_read(size.columns))) - (window.shared if step.parts else 0)
    interleaved = read * (len(plan.groups) * step.shuffles + rows) / (size.rows * size.columns)
    products = plan.products * window.kernel[1] / size.rows
    weights = step.registers / 2 / size.columns if step.parts else 0.0  # two with one instruction
    return interleaved + products * (step.products + weights)
