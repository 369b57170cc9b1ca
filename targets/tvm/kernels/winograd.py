"""A convolution by Winograd's minimal filters, exact in integers.

The weights of 16 output channels are transformed into memory on the stack, which costs little beside their
products and spares reading four times as many bytes. Then, for some tiles at a time, one matrix product a
point, and the transform of the results, which become bytes as in other convolutions: see `requantise`. Sums
are right modulo 2**32; `winograd_layer` proves that the final results fit.

A work item is 16 output channels of all tiles. Where a pixel has few channels, two threads would then write
to the same cache lines: there a work item is a part of the tiles, with all channels. Inputs of small maps are
transformed into memory on the stack by each thread: then no thread waits for another in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import Any

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import word_products
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.minimal_filter import TileFilter, transform
from targets.tvm.kernels.prefetch import Ahead
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.winograd_input import WinogradInput
from targets.tvm.kernels.word_products import BLOCK, WordProducts
from targets.tvm.tile import cut

_APART = 32
"""Bytes more than a power of two between planes, so that they are not at the same places of a cache."""
_SLICE = 64
"""Input channels whose transformed weights are in memory together, where there are more than _AT_ONCE."""
_AT_ONCE = 128
"""So many input channels are not cut into slices: their sums are then written to memory only once."""
_SUMS = 128 << 10
"""Bytes of sums that are transformed back together."""
_LINES = 128
"""Bytes of a pixel of which each of two threads writes whole cache lines."""
_PARTS = 4
"""Of the tiles, for as many threads. Each thread transforms the weights of all channels."""
_SMALLEST_PART = 4
"""Tiles."""


@dataclass(frozen=True)
class _Memory:
    """Transformed inputs and, on the stack, transformed weights and sums, each [point][...]."""

    inputs: Buffer
    weights: Buffer
    sums: Buffer


@dataclass(frozen=True)
class _Following:
    """Where the weights begin that come next, and how many times something was multiplied before."""

    weights: Expr
    turn: Expr


@dataclass(frozen=True, kw_only=True)
class WinogradKernel:
    """`channels` as stored. x is what `before` has written or, if `transforms`, what it reads."""

    isa: Isa
    height: int
    width: int
    channels: int
    before: WinogradInput
    transforms: bool
    limits: ResultRange
    y: Strides
    residual: Strides | None = None
    applied: RegisterFunction | None = None

    @property
    def tile(self) -> TileFilter:
        """The minimal filters."""
        return self.before.tile

    @property
    def inputs(self) -> int:
        """Channels that are read."""
        return self.before.channels

    @property
    def items(self) -> int:
        """Work items: blocks of channels, or parts of the tiles."""
        return -(-self.tiles // self.together) if self._by_tiles else self.channels // BLOCK

    @property
    def tiles(self) -> int:
        """Tiles of the map."""
        return self.before.height * self.before.width

    @property
    def together(self) -> int:
        """Tiles whose sums are in memory together."""
        most = _SUMS // (self.tile.points * BLOCK * 4)
        places = self._products.places
        fitting = min(self.tiles, max(places, most // places * places))
        return min(fitting, -(-self.tiles // self._parts)) if self._by_tiles else fitting

    @property
    def _by_tiles(self) -> bool:
        """Whether work items are parts of the tiles."""
        return self.channels < _LINES and self._parts > 1

    @property
    def _parts(self) -> int:
        """Parts of the tiles whose products still fill the registers at least by half."""
        return min(_PARTS, self.tiles // max(_SMALLEST_PART, self._products.places // 2 + 1))

    @property
    def slice(self) -> int:
        """Input channels whose weights are in memory together: all of few, or if used more than once."""
        if self.together < self.tiles or self.inputs <= _AT_ONCE:
            return self.inputs
        return next((size for size in (_SLICE, 32, 16) if self.inputs % size == 0), self.inputs)

    @property
    def granule(self) -> int:
        """Input channels whose weights lie beside each other for each output channel."""
        return self._products.granule

    @property
    def _slice_bytes(self) -> int:
        """Bytes of the weights of a slice."""
        return self.tile.taps * self.slice * BLOCK

    @property
    def stack(self) -> int:
        """Bytes on the stack."""
        inputs = self.before.size if self.transforms else 0
        return self.tile.points * (2 * self._weights + 4 * self._sums) + inputs

    @property
    def _products(self) -> WordProducts:
        found = word_products(self.isa, self.inputs)
        if found is None:
            raise ValueError(f"{self.isa.name} multiplies bytes")
        return found

    @property
    def _weights(self) -> int:
        """Elements of transformed weights from one point to the next."""
        return self.slice * BLOCK + _APART // 2

    @property
    def _sums(self) -> int:
        """Sums from one point to the next."""
        return self.together * BLOCK + _APART // 4

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter(self.isa.stored)
        memory = _Memory(
            k.local(self.before.size // 2, "int16") if self.transforms else k.view("x", "int16"),
            k.local(self.tile.points * self._weights, "int16"),
            k.local(self.tile.points * self._sums, "uint32"),
        )
        if self.transforms:
            self._transform_inputs(k, memory)
        with k.loop(self.channels // BLOCK) if self._by_tiles else k.items() as block:
            if self.slice < self.inputs:
                self._clear(k, memory)
            with k.loop(self.inputs // self.slice) as part:
                w = k.let((block * self.inputs + part * self.slice) * (self.tile.taps * BLOCK))
                self._transform_weights(k, memory, w)
                for turn, first, tiles in self._pieces(k):
                    following = _Following(w + self._slice_bytes, turn)
                    self._multiply(k, memory, first, tiles, k.let(part * self.slice), following)
                    if self.slice == self.inputs:
                        self._write(k, memory, first, tiles, k.let(block * BLOCK))
            if self.slice < self.inputs:
                self._write(k, memory, tirx.const(0, "int64"), self.tiles, k.let(block * BLOCK))
        return k.function(name)

    def _pieces(self, k: Emitter) -> Iterator[tuple[Expr, Expr, int]]:
        """Emit loops over this call's pieces; yields a piece's number, its first tile and how many it has."""
        before = 0
        for piece in cut(self.tiles, self.together):
            begin, count = tirx.const(0, "int64"), piece.count
            if self._by_tiles:
                begin = k.let(tirx.max(k.begin - before, tirx.const(0, "int64")))
                count = k.let(tirx.min(k.end - before, tirx.const(piece.count, "int64")) - begin)
            with k.loop(count, begin) as turn:
                yield turn + before, k.let(turn * piece.size + piece.first), piece.size
            before += piece.count

    def _transform_inputs(self, k: Emitter, memory: "_Memory") -> None:
        """Transform the tiles of this call."""
        for _, first, tiles in self._pieces(k):
            with k.loop(tiles) as n:
                row, column = self._place(k, k.let(first + n))
                self.before.emit(k, memory.inputs, row, column)

    def _place(self, k: Emitter, tile: Expr) -> tuple[Expr, Expr]:
        """The row and the column of a tile among the tiles."""
        row = k.let(tirx.floordiv(tile, tirx.const(self.before.width, "int64")))
        return row, k.let(tile - row * self.before.width)

    def _clear(self, k: Emitter, memory: "_Memory") -> None:
        """Set all sums to zero."""
        lanes = self.isa.lanes
        with k.loop(self.tile.points * self._sums // lanes) as vector:
            k.store(memory.sums, vector * lanes, splat(tirx.const(0, "uint32"), lanes), lanes)

    def _transform_weights(self, k: Emitter, memory: "_Memory", begin: Expr) -> None:
        """Weights lie [slice][tap][input and output channels]: the transform is the same for each element."""
        size, columns = self.slice * BLOCK, self.tile.columns.taps
        lanes = gcd(size, 2 * self.isa.lanes)
        with k.loop(size // lanes) as vector:
            w = k.let(begin + vector * lanes)

            def load(i: int, j: int) -> Expr:
                return k.let(k.load(k.w, w + (i * columns + j) * size, lanes).astype(f"int16x{lanes}"))

            found = transform(k, self.tile.rows.weights, self.tile.columns.weights, load)
            for point, value in enumerate(value for values in found for value in values):
                k.store(memory.weights, vector * lanes + point * self._weights, value, lanes)

    def _multiply(
        self, k: Emitter, memory: "_Memory", first: Expr, tiles: int, channel: Expr, following: "_Following"
    ) -> None:
        """For each point, a matrix of tiles and input channels times one of input and output channels."""
        products = self._products
        vectors, unit = BLOCK // products.lanes, products.step
        zero = splat(tirx.const(0, "uint32"), products.lanes)
        turns = sum(piece.count for piece in cut(self.tiles, self.together))
        ahead = Ahead.plan(self._slice_bytes, (turns, self.tile.points))
        ahead.emit(k, 0, following.weights, following.turn)
        with k.loop(self.tile.points) as point:
            ahead.emit(k, 1, following.weights, following.turn * self.tile.points + point)
            for piece in cut(tiles, products.places):
                with k.loop(piece.count) as turn:
                    tile = k.let(turn * piece.size + piece.first)
                    to = k.let(point * self._sums + tile * BLOCK)
                    acc = k.registers(piece.size * vectors, f"uint32x{products.lanes}")
                    for i in range(piece.size * vectors):
                        begun = zero
                        if self.slice < self.inputs:
                            begun = k.load(memory.sums, to + i * products.lanes, products.lanes)
                        k.store(acc, i, begun)
                    base = k.let(point * self.before.plane + (first + tile) * self.inputs + channel)
                    with k.loop(self.slice // unit) as part:
                        at = k.let(base + part * unit)
                        places = [at + n * self.inputs for n in range(piece.size)]
                        w = k.let(point * self._weights + part * (unit * BLOCK))
                        products.emit(k, acc, memory.inputs, places, memory.weights, w)
                    for i in range(piece.size * vectors):
                        k.store(memory.sums, to + i * products.lanes, k.load(acc, i), products.lanes)

    def _write(self, k: Emitter, memory: "_Memory", first: Expr, tiles: int, channel: Expr) -> None:
        """Transform the sums of each tile back, and write its pixels."""
        lanes = self.isa.lanes
        with k.loop(tiles) as n:
            row, column = self._place(k, k.let(first + n))
            down = self._places(k, row, self.tile.rows.outputs, self.height)
            right = self._places(k, column, self.tile.columns.outputs, self.width)
            with k.loop(BLOCK // lanes) as vector:
                at = k.let(n * BLOCK + vector * lanes)
                self._write_vector(k, memory.sums, at, (down, right), k.let(channel + vector * lanes))

    def _places(self, k: Emitter, tile: Expr, outputs: int, size: int) -> list[Expr]:
        """The rows, or columns, of a tile's results. Those beyond the map stand where the last one is."""
        first, last = k.let(tile * outputs), tirx.const(size - 1, "int64")
        places = [first + i for i in range(outputs)]
        return places if size % outputs == 0 else [k.let(tirx.min(place, last)) for place in places]

    def _write_vector(
        self, k: Emitter, sums: Buffer, at: Expr, places: tuple[list[Expr], list[Expr]], channel: Expr
    ) -> None:
        """Results of one vector of channels. The last comes first: those beyond the map are overwritten."""
        tile, points = self.tile, self.tile.columns.points
        lanes = self.isa.lanes

        def load(i: int, j: int) -> Expr:
            return k.let(k.load(sums, at + (i * points + j) * self._sums, lanes))

        found = transform(k, tile.rows.results, tile.columns.results, load)
        requantise = Requantise(self.isa, self.channels, self.limits, function=self.applied)
        multipliers = requantise.multipliers(k, channel).named(k)
        bias = k.let(k.load(k.ints, channel, lanes))
        values, addresses = [], []
        for row, results in zip(places[0], found, strict=True):
            for column, result in zip(places[1], results, strict=True):
                total = self._total(result, bias)
                addend = None
                if self.residual:
                    stored = k.load(k.r, self._at(self.residual, row, column, channel), lanes)
                    addend = requantise.one_addend(k, stored)
                values.append(requantise.result(k, total, multipliers, addend))
                addresses.append(self._at(self.y, row, column, channel))
        requantise.store_from_last(k, addresses, values)

    def _total(self, result: Expr, bias: Expr) -> Expr:
        """The sum, times `tile.power`, which its multiplier takes out again."""
        lanes = self.isa.lanes
        if self.tile.inverse != 1:
            result = result * splat(tirx.const(self.tile.inverse, "uint32"), lanes)
        return tirx.reinterpret(f"int32x{lanes}", result + tirx.reinterpret(f"uint32x{lanes}", bias))

    @staticmethod
    def _at(strides: Strides, row: Expr, column: Expr, channel: Expr) -> Expr:
        return row * strides.row + column * strides.pixel + channel
