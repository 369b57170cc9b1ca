"""A convolution by Winograd's minimal filters, exact in integers.

A work item is 16 output channels. Their weights are transformed into memory on the stack, which costs little
beside their products and spares reading four times as many bytes. Then, for some tiles at a time, one matrix
product a point, and the transform of the results, which become bytes as in other convolutions: see
`requantise`. Sums are right modulo 2**32; `winograd_layer` proves that the final results fit.
"""

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


@dataclass(frozen=True)
class _Memory:
    """Transformed inputs, and on the stack transformed weights and sums, each [point][...]."""

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
    """`channels` as stored, `inputs` channels that are read; `plane`: elements between the points of x."""

    isa: Isa
    height: int
    width: int
    channels: int
    inputs: int
    tile: TileFilter
    limits: ResultRange
    plane: int
    y: Strides
    residual: Strides | None = None
    applied: RegisterFunction | None = None

    @property
    def items(self) -> int:
        """Work items: blocks of channels."""
        return self.channels // BLOCK

    @property
    def tiles(self) -> int:
        """Tiles of the map."""
        rows, columns = self.tile.tiles(self.height, self.width)
        return rows * columns

    @property
    def together(self) -> int:
        """Tiles whose sums are in memory together."""
        most = _SUMS // (self.tile.points * BLOCK * 4)
        places = self._products.places
        return min(self.tiles, max(places, most // places * places))

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
        return self.tile.points * (2 * self._weights + 4 * self._sums)

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
            k.view("x", "int16"),
            k.local(self.tile.points * self._weights, "int16"),
            k.local(self.tile.points * self._sums, "uint32"),
        )
        with k.items() as item:
            if self.slice < self.inputs:
                self._clear(k, memory)
            with k.loop(self.inputs // self.slice) as part:
                w = k.let((item * self.inputs + part * self.slice) * (self.tile.taps * BLOCK))
                self._transform_weights(k, memory, w)
                before = 0
                for piece in cut(self.tiles, self.together):
                    with k.loop(piece.count) as turn:
                        first = k.let(turn * piece.size + piece.first)
                        following = _Following(w + self._slice_bytes, turn + before)
                        self._multiply(k, memory, first, piece.size, k.let(part * self.slice), following)
                        if self.slice == self.inputs:
                            self._write(k, memory, first, piece.size, k.let(item * BLOCK))
                    before += piece.count
            if self.slice < self.inputs:
                self._write(k, memory, tirx.const(0, "int64"), self.tiles, k.let(item * BLOCK))
        return k.function(name)

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
                    base = k.let(point * self.plane + (first + tile) * self.inputs + channel)
                    with k.loop(self.slice // unit) as part:
                        at = k.let(base + part * unit)
                        places = [at + n * self.inputs for n in range(piece.size)]
                        w = k.let(point * self._weights + part * (unit * BLOCK))
                        products.emit(k, acc, memory.inputs, places, memory.weights, w)
                    for i in range(piece.size * vectors):
                        k.store(memory.sums, to + i * products.lanes, k.load(acc, i), products.lanes)

    def _write(self, k: Emitter, memory: "_Memory", first: Expr, tiles: int, channel: Expr) -> None:
        """Transform the sums of each tile back, and write its pixels."""
        lanes, (_, columns) = self.isa.lanes, self.tile.tiles(self.height, self.width)
        with k.loop(tiles) as n:
            tile = k.let(first + n)
            row = k.let(tirx.floordiv(tile, tirx.const(columns, "int64")))
            column = k.let(tile - row * columns)
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
