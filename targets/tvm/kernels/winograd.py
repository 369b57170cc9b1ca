"""A convolution by Winograd's minimal filters, exact in integers.

The weights of 16 output channels are transformed into memory on the stack, which costs little beside their
products and spares reading four times as many bytes. Then, for some tiles at a time, one matrix product a
point, and the transform of the results, which become bytes as in other convolutions: see `requantise`. Sums
are right modulo 2**32; `winograd_layer` proves that the final results fit.

Inputs of small maps are transformed into memory on the stack by each thread: then no thread waits for another
in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import gcd
from typing import Any

from tvm import tirx

from calibration.register_functions import RegisterFunction
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import word_products
from targets.tvm.kernels.emitter import Buffer, Emitter, Expr, splat
from targets.tvm.kernels.minimal_filter import IN_ALL, TileFilter, transform
from targets.tvm.kernels.prefetch import Ahead
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.tiling import TileLine, Tiling
from targets.tvm.kernels.winograd_input import WinogradInput
from targets.tvm.kernels.winograd_pieces import TilePieces
from targets.tvm.kernels.word_products import BLOCK, WordProducts
from targets.tvm.tile import cut

_APART = 32
"""Bytes more than a power of two between planes, so that they are not at the same places of a cache."""
_SLICE = 64
"""Input channels whose transformed weights are in memory together, where there are more than _AT_ONCE."""
_AT_ONCE = 128
"""So many input channels are not cut into slices: their sums are then written to memory only once."""


@dataclass(frozen=True)
class _Memory:
    """Transformed inputs and, on the stack, transformed weights and sums, each [point][...]."""

    inputs: Buffer
    weights: Buffer
    sums: Buffer


@dataclass(frozen=True)
class _Piece:
    """Tiles that are computed together: which of the pieces, its first tile, how many."""

    number: Expr
    first: Expr
    tiles: int


@dataclass(frozen=True)
class _Place:
    """A tile: its row and column among the tiles, its filters, and the first tile of its piece."""

    row: Expr
    column: Expr
    tile: TileFilter
    begin: Expr


@dataclass(frozen=True)
class _Following:
    """Where the weights begin that come next, and how many times something was multiplied before."""

    weights: Expr
    turn: Expr


@dataclass(frozen=True, kw_only=True)
class WinogradKernel:
    """`channels` as stored. x is what `before` has written or, if `transforms`, what it reads."""

    isa: Isa
    channels: int
    before: WinogradInput
    transforms: bool
    limits: ResultRange
    y: Strides
    residual: Strides | None = None
    applied: RegisterFunction | None = None

    @property
    def tiling(self) -> Tiling:
        """The tiles of the map."""
        return self.before.tiling

    @property
    def tile(self) -> TileFilter:
        """The filters of whole tiles."""
        return self.tiling.tile

    @property
    def inputs(self) -> int:
        """Channels that are read."""
        return self.before.channels

    @property
    def pieces(self) -> TilePieces:
        """Which tiles are computed together."""
        return TilePieces(self.tiling.tiles, self.tile.points, self.channels, self._products)

    @property
    def items(self) -> int:
        """Work items."""
        return self.pieces.items

    @property
    def slice(self) -> int:
        """Input channels whose weights are in memory together: all of few, or if used more than once."""
        if not self.pieces.is_one or self.inputs <= _AT_ONCE:
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
        return self.pieces.together * BLOCK + _APART // 4

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
        with k.loop(self.channels // BLOCK) if self.pieces.by_tiles else k.items() as block:
            if self.slice < self.inputs:
                self._clear(k, memory)
            with k.loop(self.inputs // self.slice) as part:
                w = k.let((block * self.inputs + part * self.slice) * (self.tile.taps * BLOCK))
                self._transform_weights(k, memory, w)
                for piece in self._pieces(k):
                    following = _Following(w + self._slice_bytes, piece.number)
                    self._multiply(k, memory, piece, k.let(part * self.slice), following)
                    if self.slice == self.inputs:
                        self._write(k, memory, piece, k.let(block * BLOCK))
            if self.slice < self.inputs:
                everything = _Piece(tirx.const(0, "int64"), tirx.const(0, "int64"), self.tiling.tiles)
                self._write(k, memory, everything, k.let(block * BLOCK))
        return k.function(name)

    def _pieces(self, k: Emitter) -> Iterator["_Piece"]:
        """Emit loops over this call's pieces."""
        before = 0
        for piece in self.pieces.cuts:
            after = before + piece.count
            shared = self.pieces.by_tiles
            with k.items_between(before, after) if shared else k.loop(piece.count, before) as number:
                first = k.let((number - before) * piece.size + piece.first)
                yield _Piece(number, first, piece.size)
            before = after

    def _transform_inputs(self, k: Emitter, memory: "_Memory") -> None:
        """Transform the tiles of this call."""
        for piece in self._pieces(k):
            for place in self._places(k, piece):
                self.before.emit(k, memory.inputs, (place.row, place.column), place.tile)

    def _places(self, k: Emitter, piece: "_Piece") -> Iterator["_Place"]:
        """Emit loops over the tiles of a piece, those of the same filters together."""
        if self.tiling.is_even:
            with k.loop(piece.tiles) as n:
                tile = k.let(piece.first + n)
                row = k.let(tirx.floordiv(tile, tirx.const(self.tiling.columns.tiles, "int64")))
                yield _Place(row, k.let(tile - row * self.tiling.columns.tiles), self.tile, piece.first)
            return
        for rows, columns in product(self.tiling.rows.runs(), self.tiling.columns.runs()):
            with k.loop(rows.count, rows.first) as row, k.loop(columns.count, columns.first) as column:
                yield _Place(row, column, TileFilter(rows.filter, columns.filter), piece.first)

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
        self, k: Emitter, memory: "_Memory", piece: "_Piece", channel: Expr, following: "_Following"
    ) -> None:
        """For each point, a matrix of tiles and input channels times one of input and output channels."""
        ahead = Ahead.plan(self._slice_bytes, (self.pieces.count, self.tile.points))
        ahead.emit(k, 0, following.weights, following.turn)
        rows, columns = self.tiling.rows.point_runs(), self.tiling.columns.point_runs()
        for down, right in product(rows, columns):
            tiles = piece.tiles if self.tiling.is_even else down.tiles * right.tiles
            with k.loop(down.count, down.first) as i, k.loop(right.count, right.first) as j:
                point = k.let(i * self.tile.columns.points + j)
                ahead.emit(k, 1, following.weights, following.turn * self.tile.points + point)
                for part in cut(tiles, self._products.places):
                    with k.loop(part.count) as turn:
                        tile = k.let(turn * part.size + part.first)
                        x = k.let(point * self.before.plane + (piece.first + tile) * self.inputs + channel)
                        to = k.let(point * self._sums + tile * BLOCK)
                        self._add_products(k, memory, part.size, x, (point, to))

    def _add_products(
        self, k: Emitter, memory: "_Memory", tiles: int, x: Expr, into: tuple[Expr, Expr]
    ) -> None:
        """Products of a point of some tiles, whose inputs begin at x. `into`: a point, and its first sum."""
        products, (point, to) = self._products, into
        vectors, unit = BLOCK // products.lanes, products.step
        zero = splat(tirx.const(0, "uint32"), products.lanes)
        acc = k.registers(tiles * vectors, f"uint32x{products.lanes}")
        for i in range(tiles * vectors):
            begun = zero
            if self.slice < self.inputs:
                begun = k.load(memory.sums, to + i * products.lanes, products.lanes)
            k.store(acc, i, begun)
        for begin, count in self._parts:
            with k.loop(count, begin) as part:
                at = k.let(x + part * unit)
                places = [at + n * self.inputs for n in range(tiles)]
                w = k.let(point * self._weights + part * (unit * BLOCK))
                products.emit(k, acc, memory.inputs, places, memory.weights, w)
        for i in range(tiles * vectors):
            k.store(memory.sums, to + i * products.lanes, k.load(acc, i), products.lanes)

    @property
    def _parts(self) -> tuple[tuple[int, int], ...]:
        """Loops over the input channels, `step` at a time: the first step alone if it replaces the start.

        Where no loop is left, LLVM would load all weights before the tiles, and read them from the stack.
        """
        products = self._products
        parts = self.slice // products.step
        if products.replaces_start and self.slice == self.inputs and parts > 2:
            return (0, 1), (1, parts - 1)
        return ((0, parts),)

    def _write(self, k: Emitter, memory: "_Memory", piece: "_Piece", channel: Expr) -> None:
        """Transform the sums of each tile back, and write its pixels."""
        lanes = self.isa.lanes
        for place in self._places(k, piece):
            with k.loop(BLOCK // lanes) as vector:
                self._write_vector(k, memory.sums, place, k.let(vector * lanes), channel)

    def _pixels(self, k: Emitter, tile: Expr, line: TileLine, outputs: int) -> list[Expr]:
        """The rows, or columns, of a tile's results. Those beyond the map stand where the last one is."""
        first, last = k.let(tile * line.filter.outputs), tirx.const(line.size - 1, "int64")
        places = [first + i for i in range(outputs)]
        end = line.whole * line.filter.outputs + (outputs if outputs < line.filter.outputs else 0)
        return places if end <= line.size else [k.let(tirx.min(place, last)) for place in places]

    def _write_vector(self, k: Emitter, sums: Buffer, place: "_Place", vector: Expr, block: Expr) -> None:
        """Results of one vector of channels. The last comes first: those beyond the map are overwritten."""
        tile, lanes, channel = place.tile, self.isa.lanes, k.let(block + vector)
        columns = self.tiling.columns

        def load(i: int, j: int) -> Expr:
            number = place.row * columns.with_point(j) + place.column - place.begin
            point = (i * columns.filter.points + j) * self._sums
            total = k.load(sums, number * BLOCK + vector + point, lanes)
            if (i, j) == (IN_ALL, IN_ALL):
                total = total + tirx.reinterpret(f"uint32x{lanes}", bias)
            return k.let(total)

        bias = k.let(k.load(k.ints, channel, lanes))
        found = transform(k, tile.rows.results, tile.columns.results, load)
        requantise = Requantise(self.isa, self.channels, self.limits, function=self.applied)
        multipliers = requantise.multipliers(k, channel).named(k)
        down = self._pixels(k, place.row, self.tiling.rows, tile.rows.outputs)
        right = self._pixels(k, place.column, columns, tile.columns.outputs)
        values, addresses = [], []
        for row, results in zip(down, found, strict=True):
            for column, result in zip(right, results, strict=True):
                total = self._total(result)
                addend = None
                if self.residual:
                    stored = k.load(k.r, self._at(self.residual, row, column, channel), lanes)
                    addend = requantise.one_addend(k, stored)
                values.append(requantise.result(k, total, multipliers, addend))
                addresses.append(self._at(self.y, row, column, channel))
        requantise.store_from_last(k, addresses, values)

    def _total(self, result: Expr) -> Expr:
        """The sum, times `tile.power`, which its multiplier takes out again."""
        lanes = self.isa.lanes
        if self.tile.inverse != 1:
            result = result * splat(tirx.const(self.tile.inverse, "uint32"), lanes)
        return tirx.reinterpret(f"int32x{lanes}", result)

    @staticmethod
    def _at(strides: Strides, row: Expr, column: Expr, channel: Expr) -> Expr:
        return row * strides.row + column * strides.pixel + channel
