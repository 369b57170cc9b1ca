"""One block of results of a depthwise convolution, in one of two orders.

By columns: the block goes over the columns of pixels that it reads, multiplies each for all results that need
it, and writes those that are complete. So only the sums of as many columns as the kernel has are in registers
at a time. By parts: all columns are interleaved first. Then one register of sums of each result is computed,
or two, before the next ones are, so that a weight is loaded once for all columns of the block. What the next
block reads too stays in registers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

from tvm import tirx

from targets.tvm.kernels.depthwise_window import DepthwiseShape, TapBlock
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.requantise import Requantise
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.tap_step import WEIGHT_BYTES, TapStep

_MORE_THAN_PIXELS = 40
"""The sum of a row and a column is less than 2**40."""

Start = Callable[[Buffer, int], None]
"""Begins the sums of a column of results."""


@dataclass(frozen=True)
class ResultBlock(ABC):
    """One block, from a row, column and channel of results on; its weights begin at `w`."""

    kernel: DepthwiseShape
    k: Emitter
    step: TapStep
    size: TapBlock
    row: Expr
    column: Expr
    channel: Expr
    w: Expr

    def begun(self) -> Self:
        """The same with what the first block of a row needs before it."""
        return self

    @abstractmethod
    def emit(self) -> None:
        """Compute the block."""

    @property
    def _requantise(self) -> Requantise:
        kernel = self.kernel
        return Requantise(
            replace(kernel.isa, lanes=self.step.lanes),
            kernel.channels,
            kernel.limits,
            interleaved=self.step.registers,
            function=kernel.applied,
            y=kernel.y,
        )

    @property
    def _x(self) -> Expr:
        """Where the pixels begin that the block reads."""
        (sy, sx), x = self.kernel.window.stride, self.kernel.x
        return self.k.let(self.row * (sy * x.row) + self.column * (sx * x.pixel) + self.channel)

    def _interleaved(self, x: Expr, group: tuple[tuple[int, int], ...]) -> list[Expr]:
        """The operands of one group of rows of the column of pixels at `x`."""
        k, kernel, channels = self.k, self.kernel, self.step.channels
        places = [x + (row * kernel.x.row + plane * kernel.channels) for row, plane in group]
        found = [k.let(k.load(k.numbers("x", kernel.x), place, channels)) for place in places]
        return self.step.interleave(k, found)

    def _bias(self, part: int) -> Expr:
        lanes = self.step.lanes
        return self.k.let(self.k.load(self.k.ints, self.channel + part * lanes, lanes))

    def _write(self, row: int, column: int, sums: list[Expr]) -> None:
        """Round one result, and write it."""
        k, kernel, requantise, lanes = self.k, self.kernel, self._requantise, self.step.lanes
        multipliers = [
            requantise.multipliers(k, self.channel + part * lanes) for part in range(self.step.registers)
        ]
        addends: list[Expr | None] = [None] * self.step.registers
        if kernel.residual:
            addends = list(self._addends(self._address(kernel.residual, row, column)))
        values = [
            requantise.result(k, total, m, addend)
            for total, m, addend in zip(sums, multipliers, addends, strict=True)
        ]
        y, at, channels = k.numbers("y", kernel.y), self._address(kernel.y, row, column), self.step.channels
        if kernel.y.words:
            stored = requantise.words(k, values)
            for part, words in enumerate(stored):
                k.store(y, at + part * (channels // len(stored)), words, channels // len(stored))
        else:
            for plane, stored in zip(kernel.y.planes, requantise.planes(k, values), strict=True):
                k.store(y, at + plane, stored, channels)

    def _address(self, strides: Strides, row: int, column: int) -> Expr:
        return (self.row + row) * strides.row + (self.column + column) * strides.pixel + self.channel

    def _addends(self, at: Expr) -> list[Expr]:
        k, requantise, channels, strides = self.k, self._requantise, self.step.channels, self.kernel.residual
        assert strides is not None  # noqa: S101 -- whoever asks has one
        if requantise.isa.signed:
            return requantise.residuals(k, strides, at, channels)
        stored = k.let(k.load(k.numbers("r", strides), at, channels))
        return [
            requantise.addend(k, tirx.Shuffle([stored], list(map(int, part)))) for part in self.step.order
        ]


@dataclass(frozen=True)
class BlockByColumns(ResultBlock):
    """Column by column of the pixels that it reads."""

    def emit(self) -> None:
        """Compute the block. Of bytes that lie apart, the high ones are multiplied first."""
        kernel, size, x = self.kernel, self.size, self._x
        total = self.k.registers(size.rows * size.columns * self.step.registers, f"int32x{self.step.lanes}")
        if kernel.x.low:
            for column, uses in kernel.window.columns_read(size.columns):
                self._multiply(total, x + column * kernel.x.pixel, uses, self._zero)
            self._emit(total, x + kernel.x.low, self._bias_and_high)
        else:
            self._emit(total, x, self._only_bias)

    def _emit(self, total: Buffer, x: Expr, start: Start) -> None:
        """Multiply column after column, and write the results that are complete."""
        kernel, sx, columns = self.kernel, self.kernel.window.stride[1], self.size.columns
        reach = (kernel.window.kernel[1] - 1) * kernel.window.dilation[1]
        for column, uses in kernel.window.columns_read(columns):
            self._multiply(total, x + column * kernel.x.pixel, uses, start)
            done, rest = divmod(column - reach, sx)
            if rest == 0 and 0 <= done < columns:
                for row in range(self.size.rows):
                    sums = [
                        self.k.load(total, self._at(row, done, part)) for part in range(self.step.registers)
                    ]
                    self._write(row, done, sums)

    def _multiply(self, total: Buffer, x: Expr, uses: list[tuple[int, int]], start: Start) -> None:
        """Multiply what a column of pixels holds: `uses` are columns of results, and of the kernel."""
        plan, kw = self.kernel.plan(self.size.rows), self.kernel.window.kernel[1]
        for p, s in uses:
            if s == 0:
                start(total, p)
        for g, group in enumerate(plan.groups):
            operands, at = self._interleaved(x, group), 0
            for row, groups in enumerate(plan.uses):
                for use in groups:
                    if use.group == g:
                        for p, s in uses:
                            w = self.w + (at * kw + s) * (self.step.channels * WEIGHT_BYTES)
                            self._add(total, row, p, operands, w)
                    at += 1

    def _add(self, total: Buffer, row: int, column: int, operands: list[Expr], w: Expr) -> None:
        for part in range(self.step.registers):
            at = self._at(row, column, part)
            self.k.store(total, at, self.step.multiply(self.k, self.k.load(total, at), operands, part, w))

    def _at(self, row: int, column: int, part: int) -> int:
        return (row * self.size.columns + column) * self.step.registers + part

    def _zero(self, total: Buffer, column: int) -> None:
        """Begin the sums of a column of results with zero."""
        for row, part in product(range(self.size.rows), range(self.step.registers)):
            self.k.store(total, self._at(row, column, part), splat(tirx.const(0, "int32"), self.step.lanes))

    def _only_bias(self, total: Buffer, column: int) -> None:
        """Begin them with the biases."""
        for part in range(self.step.registers):
            bias = self._bias(part)
            for row in range(self.size.rows):
                self.k.store(total, self._at(row, column, part), bias)

    def _bias_and_high(self, total: Buffer, column: int) -> None:
        """Begin them with the biases and 256 times the sums of high bytes."""
        eight = splat(tirx.const(8, "int32"), self.step.lanes)
        for part in range(self.step.registers):
            bias = self._bias(part)
            for at in (self._at(row, column, part) for row in range(self.size.rows)):
                self.k.store(total, at, tirx.shift_left(self.k.load(total, at), eight) + bias)


@dataclass(frozen=True)
class BlockByParts(ResultBlock):
    """Some registers of sums of all results after the others. `carried`: operands from the block before."""

    carried: Buffer | None = None

    def begun(self) -> Self:
        """The same with registers for operands, and those of the first block in them."""
        plan, shared = self.kernel.plan(self.size.rows), self.kernel.window.shared
        if not shared:
            return self
        count = shared * sum(self.step.operands(len(group)) for group in plan.groups)
        block = replace(self, carried=self.k.registers(count, f"int8x{self.step.channels}"))
        x = self._x
        block._carry([self._column(x, column) for column in range(shared)])
        return block

    def emit(self) -> None:
        """Compute the block."""
        operands = self._operands()
        places = list(product(range(self.size.rows), range(self.size.columns)))
        sums: dict[tuple[int, int], list[Expr]] = {place: [] for place in places}
        for first in range(0, self.step.registers, self.step.parts):
            parts = range(first, first + self.step.parts)
            total = self._sums(operands, parts)
            for (row, p), part in product(places, parts):
                sums[row, p].append(total[row, p, part])
        for place in places:
            self._write(*place, sums[place])
        if self.carried is not None:
            self._carry(list(operands.values())[-self.kernel.window.shared :])

    def _sums(self, operands: dict[int, list[list[Expr]]], parts: range) -> dict[tuple[int, int, int], Expr]:
        """The sums of some parts of all results, by row, column and part."""
        k, window, columns = self.k, self.kernel.window, range(self.size.columns)
        biases = {part: self._bias(part) for part in parts}
        total = {
            (row, p, part): biases[part] for row, p, part in product(range(self.size.rows), columns, parts)
        }
        for row, group, s, w in self._weights():
            for part, p in product(parts, columns):
                found = operands[p * window.stride[1] + s * window.dilation[1]][group]
                at = row, p, part
                total[at] = k.let(self.step.multiply(k, total[at], found, part, w))
        return total

    def _weights(self) -> Iterator[tuple[int, int, int, Expr]]:
        """Row of results, group of rows and column of the kernel of all weights, and where they are.

        That depends on a zero which LLVM does not know. Otherwise it would load all weights once a row, move
        them to the stack for want of registers, and read them from there.
        """
        zero = tirx.shift_right(self.row + self.column, tirx.const(_MORE_THAN_PIXELS, "int64"))
        w, at = self.k.let(self.w + zero), 0
        for row, uses in enumerate(self.kernel.plan(self.size.rows).uses):
            for use, s in product(uses, range(self.kernel.window.kernel[1])):
                yield row, use.group, s, w + at
                at += self.step.channels * WEIGHT_BYTES

    def _operands(self) -> dict[int, list[list[Expr]]]:
        """The operands of each group of rows, by column of pixels."""
        x, shared = self._x, 0 if self.carried is None else self.kernel.window.shared
        columns = [column for column, _ in self.kernel.window.columns_read(self.size.columns)]
        found = dict(zip(columns, self._from_before(shared), strict=False))
        return found | {column: self._column(x, column) for column in columns[shared:]}

    def _column(self, x: Expr, column: int) -> list[list[Expr]]:
        groups = self.kernel.plan(self.size.rows).groups
        return [self._interleaved(x + column * self.kernel.x.pixel, group) for group in groups]

    def _carry(self, columns: list[list[list[Expr]]]) -> None:
        operands = [operand for groups in columns for group in groups for operand in group]
        for i, operand in enumerate(operands):
            self.k.store(self.carried, i, operand)

    def _from_before(self, columns: int) -> Iterator[list[list[Expr]]]:
        counts, at = [self.step.operands(len(group)) for group in self.kernel.plan(self.size.rows).groups], 0
        for _ in range(columns):
            found = []
            for count in counts:
                found.append([self.k.let(self.k.load(self.carried, at + i)) for i in range(count)])
                at += count
            yield found
