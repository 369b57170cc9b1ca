"""A convolution by Winograd's minimal filters, exact in integers.

The weights of 16 output channels are transformed into memory on the stack, which costs little beside their
products and spares reading four times as many bytes. Then, for some tiles at a time, one matrix product a
point, and the transform of the results, which become bytes as in other convolutions: see `requantise`. Sums
are right modulo 2**32; `winograd_layer` proves that the final results fit.

Inputs of small maps are transformed into memory on the stack by each thread: then no thread waits for another
in between. So are those of large maps piece by piece, where the weights of all channels fit beside them.
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
from targets.tvm.kernels.winograd_sizes import WinogradSizes
from targets.tvm.kernels.word_products import BLOCK, WordProducts
from targets.tvm.tile import cut


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
class _Operands:
    """Where the transformed inputs and the transformed weights begin that are multiplied."""

    inputs: Expr
    weights: Expr


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
        return TilePieces(self.tiling.tiles, self.tile.points, self.inputs, self.channels, self._products)

    @property
    def sizes(self) -> WinogradSizes:
        """The sizes of what is in memory."""
        return WinogradSizes(self.before, self.pieces)

    @property
    def items(self) -> int:
        """Work items."""
        return self.pieces.items

    @property
    def macs(self) -> int:
        """Products: a fraction of the convolution's."""
        return self.tiling.points * self.inputs * self.channels

    @property
    def granule(self) -> int:
        """Input channels whose weights lie beside each other for each output channel."""
        return self._products.granule

    @property
    def stack(self) -> int:
        """Bytes on the stack."""
        inputs = self.sizes.transformed if self.transforms else 0
        return 2 * (self.sizes.kept_weights + inputs) + 4 * self.tile.points * self.sizes.sums

    @property
    def _products(self) -> WordProducts:
        found = word_products(self.isa, self.inputs)
        if found is None:
            raise ValueError(f"{self.isa.name} multiplies bytes")
        return found

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = Emitter(self.isa.stored)
        memory = _Memory(
            k.local(self.sizes.transformed, "int16") if self.transforms else k.view("x", "int16"),
            k.local(self.sizes.kept_weights, "int16"),
            k.local(self.tile.points * self.sizes.sums, "uint32"),
        )
        if self.pieces.weights_stay:
            self._piece_by_piece(k, memory)
        else:
            self._block_by_block(k, memory)
        return k.function(name)

    def _piece_by_piece(self, k: Emitter, memory: "_Memory") -> None:
        """All weights first, then each piece of tiles by all blocks of channels."""
        with k.loop(self.sizes.blocks) as block:
            self._transform_weights(
                k, memory, k.let(block * self.sizes.slice_bytes), k.let(block * self.sizes.block)
            )
        none, after = tirx.const(0, "int64"), tirx.const(self.sizes.blocks * self.sizes.slice_bytes, "int64")
        for piece in self._pieces(k):
            self._transform_inputs(k, memory, piece, piece.first)
            here = _Piece(piece.number, none, piece.tiles)
            with k.loop(self.sizes.blocks) as block:
                following = _Following(after, piece.number * self.sizes.blocks + block)
                self._multiply(k, memory, here, _Operands(none, k.let(block * self.sizes.block)), following)
                self._write(k, memory, piece, k.let(block * BLOCK))

    def _block_by_block(self, k: Emitter, memory: "_Memory") -> None:
        """The weights of a block of channels, then all pieces of tiles by them."""
        none = tirx.const(0, "int64")
        if self.transforms:
            for piece in self._pieces(k):
                self._transform_inputs(k, memory, piece, none)
        with k.loop(self.sizes.blocks) if self.pieces.by_tiles else k.items() as block:
            if self.sizes.slice < self.inputs:
                self._clear(k, memory)
            with k.loop(self.inputs // self.sizes.slice) as part:
                w = k.let((block * self.inputs + part * self.sizes.slice) * (self.tile.taps * BLOCK))
                self._transform_weights(k, memory, w, none)
                for piece in self._pieces(k):
                    following = _Following(w + self.sizes.slice_bytes, piece.number)
                    self._multiply(
                        k, memory, piece, _Operands(k.let(part * self.sizes.slice), none), following
                    )
                    if self.sizes.slice == self.inputs:
                        self._write(k, memory, piece, k.let(block * BLOCK))
            if self.sizes.slice < self.inputs:
                everything = _Piece(none, none, self.tiling.tiles)
                self._write(k, memory, everything, k.let(block * BLOCK))

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

    def _transform_inputs(self, k: Emitter, memory: "_Memory", piece: "_Piece", first: Expr) -> None:
        """Transform the tiles of a piece. The tile `first` is the first in memory."""
        for place in self._places(k, piece):
            at = place.row, place.column
            self.before.emit(k, memory.inputs, at, place.tile, first, self.sizes.plane)

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
        with k.loop(self.tile.points * self.sizes.sums // lanes) as vector:
            k.store(memory.sums, vector * lanes, splat(tirx.const(0, "uint32"), lanes), lanes)

    def _transform_weights(self, k: Emitter, memory: "_Memory", begin: Expr, to: Expr) -> None:
        """Weights lie [slice][tap][input and output channels]: the transform is the same for each element."""
        size, columns = self.sizes.slice * BLOCK, self.tile.columns.taps
        lanes = gcd(size, 2 * self.isa.lanes)
        with k.loop(size // lanes) as vector:
            w = k.let(begin + vector * lanes)

            def load(i: int, j: int) -> Expr:
                return k.let(k.load(k.w, w + (i * columns + j) * size, lanes).astype(f"int16x{lanes}"))

            found = transform(k, self.tile.rows.weights, self.tile.columns.weights, load)
            for point, value in enumerate(value for values in found for value in values):
                k.store(memory.weights, to + vector * lanes + point * self.sizes.weights, value, lanes)

    def _multiply(
        self, k: Emitter, memory: "_Memory", piece: "_Piece", begin: "_Operands", following: "_Following"
    ) -> None:
        """For each point, a matrix of tiles and input channels times one of input and output channels."""
        turns = self.pieces.count * (self.sizes.blocks if self.pieces.weights_stay else 1)
        ahead = Ahead.plan(self.sizes.slice_bytes, (turns, self.tile.points))
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
                        place = point * self.sizes.plane + (piece.first + tile) * self.inputs
                        operands = _Operands(
                            k.let(place + begin.inputs), k.let(point * self.sizes.weights + begin.weights)
                        )
                        to = k.let(point * self.sizes.sums + tile * BLOCK)
                        self._add_products(k, memory, part.size, operands, to)

    def _add_products(self, k: Emitter, memory: "_Memory", tiles: int, begin: "_Operands", to: Expr) -> None:
        """Products of a point of some tiles, whose first sum is `to`."""
        products = self._products
        vectors, unit = BLOCK // products.lanes, products.step
        zero = splat(tirx.const(0, "uint32"), products.lanes)
        acc = k.registers(tiles * vectors, f"uint32x{products.lanes}")
        for i in range(tiles * vectors):
            begun = zero
            if self.sizes.slice < self.inputs:
                begun = k.load(memory.sums, to + i * products.lanes, products.lanes)
            k.store(acc, i, begun)
        for first, count in self._parts:
            with k.loop(count, first) as part:
                at = k.let(begin.inputs + part * unit)
                places = [at + n * self.inputs for n in range(tiles)]
                w = k.let(begin.weights + part * (unit * BLOCK))
                products.emit(k, acc, memory.inputs, places, memory.weights, w)
        for i in range(tiles * vectors):
            k.store(memory.sums, to + i * products.lanes, k.load(acc, i), products.lanes)

    @property
    def _parts(self) -> tuple[tuple[int, int], ...]:
        """Loops over the input channels, `step` at a time: the first step alone if it replaces the start.

        Where no loop is left, LLVM would load all weights before the tiles, and read them from the stack.
        """
        products = self._products
        parts = self.sizes.slice // products.step
        if products.replaces_start and self.sizes.slice == self.inputs and parts > 2:
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
            point = (i * columns.filter.points + j) * self.sizes.sums
            total = k.load(sums, number * BLOCK + vector + point, lanes)
            if (i, j) == (IN_ALL, IN_ALL):
                total = total + tirx.reinterpret(f"uint32x{lanes}", bias)
            return k.let(total)

        bias = k.let(k.load(k.ints, channel, lanes))
        found = transform(k, tile.rows.results, tile.columns.results, load)
        requantise = Requantise(self.isa, self.channels, self.limits, function=self.applied, y=self.y)
        multipliers = requantise.multipliers(k, channel).named(k)
        down = self._pixels(k, place.row, self.tiling.rows, tile.rows.outputs)
        right = self._pixels(k, place.column, columns, tile.columns.outputs)
        values, addresses = [], []
        for row, results in zip(down, found, strict=True):
            for column, result in zip(right, results, strict=True):
                total = self._total(result)
                addend = None
                if self.residual:
                    at = self._at(self.residual, row, column, channel)
                    (addend,) = requantise.residuals(k, self.residual, at, lanes)
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
