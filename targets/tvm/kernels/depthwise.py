"""Depthwise convolution: a vector of channels times the taps of the kernel, for any number of channels.

A block is some rows and columns of results, written out. It goes over the columns that they read: rows are
interleaved (`tap_plan`), multiplied for all results that need this column, and those that are complete are
rounded and written. So only the sums of as many columns as the kernel has are in registers at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import tap_step
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.tap_plan import TapPlan, tap_plan
from targets.tvm.kernels.tap_step import PARTS, WEIGHT_BYTES, TapStep, register_order
from targets.tvm.tile import Cut, cut

_MOST_WRITTEN_OUT = 420
"""Multiplications of a block: more code than that does not stay in the cache of instructions."""
_MOST_OF_ONE_RESULT = 2500
"""A single result may have more: all the kernel's taps."""


@dataclass(frozen=True)
class TapWindow:
    """Kernel size, stride and dilation, each (rows, columns); `planes` inputs of each output channel.

    Planes lie beside each other in every pixel, each with all output channels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    planes: int = 1


@dataclass(frozen=True)
class TapBlock:
    """Largest number of rows and columns of results that are computed together."""

    rows: int
    columns: int


def widths(isa: Isa) -> tuple[int, ...]:
    """Channels of a vector of bytes, the widest first."""
    return tuple(width for width in (64, 32, 16) if width <= 4 * isa.lanes)


def chunks(channels: int, isa: Isa) -> Iterator[Cut]:
    """Cut stored channels into vectors: as many of the widest as there are, then narrower ones."""
    first = 0
    for width in widths(isa):
        if count := (channels - first) // width:
            yield Cut(first, count, width)
        first += count * width


@dataclass(frozen=True, kw_only=True)
class DepthwiseKernel:
    """One convolution, down to its addresses. `channels` as stored; x, y, residual: bytes between pixels."""

    isa: Isa
    height: int
    width: int
    channels: int
    window: TapWindow
    block: TapBlock
    limits: ResultRange
    x: Strides
    y: Strides
    residual: Strides | None = None
    applied: RegisterFunction | None = None

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
        return self.window.stride[0] * self.x.row

    @property
    def reach(self) -> int:
        """Bytes from the first that the windows of a row of results read to the one after the last."""
        (kh, kw), (dh, dw), sx = self.window.kernel, self.window.dilation, self.window.stride[1]
        columns = (self.width - 1) * sx + (kw - 1) * dw
        whole = self.window.planes * self.channels + self.x.low
        return (kh - 1) * dh * self.x.row + columns * self.x.pixel + whole

    def rows(self, items: range) -> range:
        """The rows of results that work items belong to."""
        starts = [p.first + n * p.size for p in self.pieces for n in range(p.count)] + [self.height]
        return range(starts[items.start], starts[items.stop])

    def plan(self, rows: int) -> TapPlan:
        """How the rows of a block's results are multiplied."""
        return window_plan(self.window, rows, self.isa)

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
        for chunk in chunks(self.channels, self.isa):
            with k.loop(chunk.count) as n:
                channel = k.let(n * chunk.size + chunk.first)
                w = k.let(channel * self._weight_bytes(rows) + weights)
                for columns in cut(self.width, self.block.columns):
                    with k.loop(columns.count) as m:
                        column = k.let(m * columns.size + columns.first)
                        sizes = TapBlock(rows, columns.size)
                        _Block(self, k, chunk.size, sizes, row, column, channel, w).emit()


@dataclass(frozen=True)
class _Block:
    """One block, from a row, column and channel of results on; its weights begin at `w`."""

    kernel: DepthwiseKernel
    k: Emitter
    channels: int
    size: TapBlock
    row: Expr
    column: Expr
    channel: Expr
    w: Expr

    @property
    def _step(self) -> TapStep:
        return tap_step(self.kernel.isa, self.channels)

    @property
    def _requantise(self) -> Requantise:
        isa = replace(self.kernel.isa, lanes=self._step.lanes)
        kernel = self.kernel
        return Requantise(
            isa,
            kernel.channels,
            kernel.limits,
            packed_order=True,
            function=kernel.applied,
            low=kernel.y.low,
        )

    def emit(self) -> None:
        kernel, k = self.kernel, self.k
        (sy, sx), columns = kernel.window.stride, self.size.columns
        x = k.let(self.row * (sy * kernel.x.row) + self.column * (sx * kernel.x.pixel) + self.channel)
        count, dtype = self.size.rows * columns * PARTS, f"int32x{self._step.lanes}"
        total = k.registers(count, dtype)
        high = k.registers(count, dtype) if kernel.x.low else None
        reach = (kernel.window.kernel[1] - 1) * kernel.window.dilation[1]
        for column, uses in columns_read(kernel.window, columns):
            at = x + column * kernel.x.pixel
            if high is not None:
                self._multiply(high, at, uses, biases=False)
            self._multiply(total, at + kernel.x.low, uses)
            done, rest = divmod(column - reach, sx)
            if rest == 0 and 0 <= done < columns:
                for row in range(self.size.rows):
                    self._add_high(total, high, row, done)
                    self._write(total, row, done)

    def _add_high(self, total: Buffer, high: Buffer | None, row: int, column: int) -> None:
        """Add 256 times the sums of high bytes, where there are some."""
        if high is None:
            return
        eight = splat(tirx.const(8, "int32"), self._step.lanes)
        for at in (self._at(row, column, part) for part in range(PARTS)):
            sums = tirx.shift_left(self.k.load(high, at), eight)
            self.k.store(total, at, self.k.load(total, at) + sums)

    def _multiply(self, total: Buffer, x: Expr, uses: list[tuple[int, int]], biases: bool = True) -> None:
        """Multiply what a column of pixels holds: `uses` are columns of results, and of the kernel."""
        kernel, k, step = self.kernel, self.k, self._step
        plan, kw = kernel.plan(self.size.rows), kernel.window.kernel[1]
        for p, s in uses:
            if s == 0:
                self._start(total, p, biases)
        for g, group in enumerate(plan.groups):
            rows = [
                k.let(k.load(k.x, x + (row * kernel.x.row + plane * kernel.channels), self.channels))
                for row, plane in group
            ]
            operands, at = step.interleave(k, rows), 0
            for row, groups in enumerate(plan.uses):
                for use in groups:
                    if use.group == g:
                        for p, s in uses:
                            w = self.w + (at * kw + s) * (self.channels * WEIGHT_BYTES)
                            self._add(total, row, p, operands, w)
                    at += 1

    def _add(self, total: Buffer, row: int, column: int, operands: list[Expr], w: Expr) -> None:
        for part in range(PARTS):
            at = self._at(row, column, part)
            self.k.store(total, at, self._step.multiply(self.k, self.k.load(total, at), operands, part, w))

    def _at(self, row: int, column: int, part: int) -> int:
        return (row * self.size.columns + column) * PARTS + part

    def _start(self, total: Buffer, column: int, biases: bool) -> None:
        """Begin the sums of a column of results with the biases, or with zero."""
        k, lanes = self.k, self._step.lanes
        for part in range(PARTS):
            bias = splat(tirx.const(0, "int32"), lanes)
            if biases:
                bias = k.let(k.load(k.ints, self.channel + part * lanes, lanes))
            for row in range(self.size.rows):
                k.store(total, self._at(row, column, part), bias)

    def _write(self, total: Buffer, row: int, column: int) -> None:
        """Round one result, and write it."""
        k, kernel, requantise, lanes = self.k, self.kernel, self._requantise, self._step.lanes
        sums = [k.load(total, self._at(row, column, part)) for part in range(PARTS)]
        multipliers = [requantise.multipliers(k, self.channel + part * lanes) for part in range(PARTS)]
        addends: list[Expr | None] = [None] * PARTS
        if kernel.residual:
            addends = list(self._addends(self._address(kernel.residual, row, column)))
        values = [
            requantise.result(k, total, m, addend)
            for total, m, addend in zip(sums, multipliers, addends, strict=True)
        ]
        at = self._address(kernel.y, row, column)
        for plane, stored in enumerate(requantise.planes(k, values)):
            k.store(k.y, at + plane * kernel.y.low, stored, self.channels)

    def _address(self, strides: Strides, row: int, column: int) -> Expr:
        return (self.row + row) * strides.row + (self.column + column) * strides.pixel + self.channel

    def _addends(self, at: Expr) -> list[Expr]:
        k, requantise = self.k, self._requantise
        stored = k.let(k.load(k.r, at, self.channels))
        if self.kernel.residual and (low := self.kernel.residual.low):
            lows = k.let(k.load(k.r, at + low, self.channels))
            return [
                requantise.wide_addend(k, *(tirx.Shuffle([v], list(map(int, part))) for v in (stored, lows)))
                for part in register_order(self.channels)
            ]
        if requantise.isa.signed:
            return requantise.addends(k, stored, self.channels)
        parts = [tirx.Shuffle([stored], list(map(int, part))) for part in register_order(self.channels)]
        return [requantise.addend(k, part) for part in parts]


def columns_read(window: TapWindow, columns: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Columns of pixels that are read for `columns` results, each with pairs (result, kernel's column)."""
    kw, sx, dw = window.kernel[1], window.stride[1], window.dilation[1]
    for column in range((columns - 1) * sx + (kw - 1) * dw + 1):
        uses = [(p, s) for p in range(columns) for s in range(kw) if p * sx + s * dw == column]
        if uses:
            yield column, uses


def window_plan(window: TapWindow, rows: int, isa: Isa) -> TapPlan:
    """How `rows` rows of results are multiplied."""
    together = tap_step(isa, 4 * isa.lanes).together
    return tap_plan(rows, window.kernel[0], window.stride[0], window.dilation[0], window.planes, together)


def choose_block(window: TapWindow, height: int, width: int, isa: Isa, wide: bool = False) -> TapBlock | None:
    """The block with the fewest estimated instructions for each result; None if the kernel is too large.

    `wide`: what it reads has 16 bits, so that there are two sums for each result.
    """
    step = tap_step(isa, 4 * isa.lanes)
    sizes = [
        TapBlock(rows, columns)
        for rows in range(1, min(height, step.rows) + 1)
        for columns in range(1, min(width, 1 if wide else step.columns) + 1)
    ]
    fitting = [size for size in sizes if _written_out(window, size, isa) <= _MOST_WRITTEN_OUT]
    if fitting:
        return min(fitting, key=lambda size: _cost(window, size, isa))
    return sizes[0] if _written_out(window, sizes[0], isa) <= _MOST_OF_ONE_RESULT else None


def _written_out(window: TapWindow, size: TapBlock, isa: Isa) -> int:
    """Multiplications of a block in the code."""
    return window_plan(window, size.rows, isa).products * window.kernel[1] * size.columns * PARTS


def _cost(window: TapWindow, size: TapBlock, isa: Isa) -> float:
    """Estimated instructions of a vector of results."""
    step, plan = tap_step(isa, 4 * isa.lanes), window_plan(window, size.rows, isa)
    rows = sum(len(group) for group in plan.groups)
    read = len(list(columns_read(window, size.columns)))
    interleaved = read * (len(plan.groups) * step.shuffles + rows) / (size.rows * size.columns)
    return interleaved + plan.products * window.kernel[1] * step.products / size.rows
