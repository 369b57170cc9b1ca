"""Enlarges or shrinks maps: by copying pixels and channels, or by interpolating four pixels."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from targets.tvm.kernels.emitter import Emitter, Expr, splat
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import BYTES, Strides
from targets.tvm.kernels.vector_blocks import blocks, centred

_VECTOR = 16
_CHOSEN_FROM = 4
"""The most vectors to choose from. For more, copying single bytes is as fast."""


@dataclass(frozen=True, kw_only=True)
class PickKernel(RowKernel):
    """Copies pixels. w: int32 bytes from the input's start to each row, then from a row's to each pixel."""

    width: int
    channels: int
    order: tuple[int, ...]
    """Which channels of a pixel, as they follow each other in the result; none stands for all as they are."""
    y: Strides

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        lanes = next(n for n in (64, 32, 16) if self.channels % n == 0 and n <= 4 * self.isa.lanes)
        offsets = k.view("w", "int32")
        with k.items() as row:
            source = k.let(k.load(offsets, row).astype("int64"))
            with k.loop(self.width) as column:
                x = k.let(source + k.load(offsets, column + self.height).astype("int64"))
                y = k.let(row * self.y.row + column * self.y.pixel)
                if self.order:
                    for first in range(0, len(self.order), _VECTOR):
                        self._channels(k, x, y + first, self.order[first : first + _VECTOR])
                else:
                    with k.loop(self.channels // lanes) as chunk:
                        k.store(k.y, y + chunk * lanes, k.load(k.x, x + chunk * lanes, lanes), lanes)
        return k.function(name)

    def _channels(self, k: Emitter, x: Expr, y: Expr, wanted: tuple[int, ...]) -> None:
        """Copy up to 16 channels: as one vector, chosen out of a few, or one by one."""
        if wanted == tuple(range(wanted[0], wanted[0] + len(wanted))):
            k.store(k.y, y, k.load(k.x, x + wanted[0], _VECTOR), _VECTOR)
            return
        held = sorted({channel // _VECTOR for channel in wanted})
        if len(held) > _CHOSEN_FROM:
            for at, channel in enumerate(wanted):
                k.store(k.y, y + at, k.load(k.x, x + channel))
            return
        vectors = [k.load(k.x, x + vector * _VECTOR, _VECTOR) for vector in held]
        lanes = [held.index(channel // _VECTOR) * _VECTOR + channel % _VECTOR for channel in wanted]
        lanes += [0] * (_VECTOR - len(lanes))  # into channels that are not read
        k.store(k.y, y, tirx.Shuffle(vectors, lanes), _VECTOR)


@dataclass(frozen=True, kw_only=True)
class PixelShuffleKernel(RowKernel):
    """`channels` of each pixel of the result from a pixel `block` times as small. See PixelShuffle."""

    width: int
    channels: int
    block: int
    channels_first: bool
    x: Strides
    y: Strides

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR. Channels that lie together are copied by 16, the last with some beyond them."""
        k = self.emitter()
        block = tirx.const(self.block, "int64")
        with k.items() as row:
            above = k.let(tirx.floordiv(row, block))
            down = k.let(row - above * self.block)
            with k.loop(self.width // self.block) as column, k.loop(self.block) as right:
                x = k.let(above * self.x.row + column * self.x.pixel)
                y = k.let(row * self.y.row + (column * self.block + right) * self.y.pixel)
                part = k.let(down * self.block + right)
                if self.channels_first:
                    with k.loop(self.channels) as channel:
                        k.store(k.y, y + channel, k.load(k.x, x + channel * self.block**2 + part))
                else:
                    with k.loop(-(-self.channels // 16)) as chunk:
                        at = x + part * self.channels + chunk * 16
                        k.store(k.y, y + chunk * 16, k.load(k.x, at, 16), 16)
        return k.function(name)


@dataclass(frozen=True, kw_only=True)
class InterpolateKernel(RowKernel):
    """Between four pixels, in float32, which holds all sums exactly.

    w: for rows, then for columns, int32 bytes to the first and to the second, and the share of the second.
    """

    width: int
    channels: int
    parts: tuple[int, int]
    y: Strides
    limits: ResultRange

    def function(self, name: str) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
        """Generate the TIR."""
        k = self.emitter()
        requantise = Requantise(self.isa, 1, self.limits, per_channel=False)
        offset = k.let(k.load(k.ints, 0))
        with k.items() as row:
            *rows, down = self._sample(k, row, 0, self.height, self.parts[0])
            for column, channel, vectors in blocks(k, self.width, self.channels, self.isa.lanes):
                values: list[Expr] = []
                for places in _pixels(vectors):
                    *columns, right = self._sample(
                        k, column + places[0][0], 3 * self.height, self.width, self.parts[1]
                    )
                    inside = [channels for _, channels in places]
                    four = [
                        centred(k, self.isa, "x", BYTES, k.let(r + c + channel), inside, offset)
                        for r in rows
                        for c in columns
                    ]
                    for a, b, c, d in zip(*four, strict=True):
                        upper, lower = self._sum(k, a, b, right), self._sum(k, c, d, right)
                        total = self._sum(k, upper, lower, down)
                        values.append(total * requantise.multiplier(k, 0))
                offsets = [pixels * self.y.pixel + channels for pixels, channels in vectors]
                y = k.let(row * self.y.row + column * self.y.pixel + channel)
                requantise.store(k, y, offsets, values)
        return k.function(name)

    def _sum(self, k: Emitter, a: Expr, b: Expr, shares: list[Expr]) -> Expr:
        """a * shares[0] + b * shares[1], fused as it is exact. TVM fuses what is not, and cannot lower it."""
        lanes = self.isa.lanes
        return k.call(f"float32x{lanes}", f"llvm.fma.v{lanes}f32", a, shares[0], b * shares[1])

    def _sample(
        self, k: Emitter, at: Expr, table: int, count: int, parts: int
    ) -> tuple[Expr, Expr, list[Expr]]:
        """Bytes to both rows or columns that number `at` lies between, and the share of each."""
        offsets = k.view("w", "int32")
        first, second, share = (k.let(k.load(offsets, at + (table + i * count))) for i in range(3))
        shares = [(tirx.const(parts, "int32") - share).astype("float32"), share.astype("float32")]
        return (
            first.astype("int64"),
            second.astype("int64"),
            [k.let(splat(one, self.isa.lanes)) for one in shares],
        )


def _pixels(vectors: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The vectors of each pixel of a block."""
    return [[v for v in vectors if v[0] == pixel] for pixel in dict.fromkeys(p for p, _ in vectors)]
