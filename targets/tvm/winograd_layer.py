"""Chooses the convolutions for Winograd's minimal filters: where these are proved exact and estimated faster.

Everything is an integer. Transformed activations and weights have to fit int16; sums are right modulo 2**32.
In the end they are `TileFilter.power` times the convolution: that has to fit int32 for every input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from targets.tvm.conv_constants import (
    PackedConv,
    stored_bias,
    stored_factor,
    stored_multiplier,
)
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import word_products
from targets.tvm.kernels.inner_step import pack
from targets.tvm.kernels.minimal_filter import FOUR, THREE, TWO, Matrix, TileFilter
from targets.tvm.kernels.tiling import Tiling
from targets.tvm.kernels.winograd import WinogradKernel
from targets.tvm.kernels.winograd_input import WinogradInput
from targets.tvm.kernels.winograd_phases import PHASES, PhasesInput, fits_a_read
from targets.tvm.kernels.winograd_pieces import TilePieces
from targets.tvm.kernels.word_products import BLOCK, WordProducts
from targets.tvm.layout import CHANNEL_ALIGNMENT, Layout, stored_channels
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.sliding_window import SlidingWindow

TILES = tuple(TileFilter(rows, columns) for rows, columns in product((FOUR, TWO), repeat=2))
"""For convolutions of 3 x 3."""
TILES_OF_PHASES = (TileFilter(THREE, THREE),)
"""For convolutions of 7 x 7 with stride 2: each phase has 4 x 4 taps, some of them 0."""
_INT16, _INT32 = 1 << 15, 1 << 31
_SMALLEST = 2.0**-126
"""The smallest float32 of full precision."""
MOST_INPUTS = 512
"""For more input channels, transformed weights could need more of the stack than a thread has."""
_WORTH = 0.95
"""The estimate has to be below this share: estimates are not more precise."""
INSIDE = 96 << 10
"""Bytes of transformed inputs that stay in a core's cache; more are shared by the threads."""
_TRANSFORM = 7.0
"""Instructions for each point of a transform of vectors."""


@dataclass(frozen=True)
class WinogradLayer:
    """How such a convolution is computed."""

    transform: WinogradInput
    inside: bool
    """Whether the convolution's kernel transforms its input."""

    @property
    def before(self) -> WinogradInput | None:
        """The kernel that transforms the input first, if any."""
        return None if self.inside else self.transform


def winograd_layer(op: Conv, x: Layout, isa: Isa) -> WinogradLayer | None:
    """Return the layer; None where the ordinary convolution is faster, or minimal filters are not exact."""
    inputs = PHASES * PHASES * x.channels if _by_phases(op) else x.channels
    products = word_products(isa, inputs)
    if products is None or op.groups > 1 or op.real or op.input.wide:
        return None
    tilings = (tiling(op, tile, inputs, products) for tile in _tiles(op, x) if is_exact(op, tile, isa))
    costs = {found: winograd_cost(op, found, products) for found in tilings}
    if not costs or min(costs.values()) > _WORTH * direct_cost(op, products):
        return None
    chosen = min(costs, key=lambda found: costs[found])
    reach = op.window.reach(op.output.height, op.output.width)
    kind = PhasesInput if _by_phases(op) else WinogradInput
    transform = kind(
        isa=isa, height=chosen.rows.tiles, tiling=chosen, reach=reach, channels=inputs, x=x.strides
    )
    stay = _pieces(op, chosen, inputs, products).weights_stay
    return WinogradLayer(transform, inside=stay or transform.size <= INSIDE)


def tiling(op: Conv, tile: TileFilter, inputs: int, products: WordProducts) -> Tiling:
    """How tiles cover the map: shorter ones at its end, if all are computed together."""
    even, shorter = (
        Tiling.cover(tile, op.output.height, op.output.width, shorter) for shorter in (False, True)
    )
    return shorter if _pieces(op, even, inputs, products).is_one else even


def _pieces(op: Conv, cover: Tiling, inputs: int, products: WordProducts) -> TilePieces:
    channels = stored_channels(op.output.channels)
    return TilePieces(cover.tiles, cover.tile.points, inputs, channels, products)


def _by_phases(op: Conv) -> bool:
    return op.window.stride == (PHASES, PHASES)


def _tiles(op: Conv, x: Layout) -> Sequence[TileFilter]:
    """The tiles by which such a convolution can be computed, if it is exact."""
    window, pad = op.window, op.window.pad
    if window == SlidingWindow((3, 3), pad=pad):
        return TILES if x.channels % CHANNEL_ALIGNMENT == 0 and x.channels <= MOST_INPUTS else ()
    if window == SlidingWindow((7, 7), (PHASES, PHASES), pad):
        return TILES_OF_PHASES if fits_a_read(x.channels) else ()
    return ()


def is_exact(op: Conv, tile: TileFilter, isa: Isa) -> bool:
    """Whether all intermediate values fit, for every input."""
    low, high = (-128, 127) if isa.signed else (0, 255)
    kernel = _nested(tile.rows.weights, tile.columns.weights)
    covers = [
        _nested(rows.inputs, columns.inputs)
        for rows, columns in product((tile.rows, *tile.rows.shorter), (tile.columns, *tile.columns.shorter))
    ]
    filters = taps(op)
    weights = kernel @ filters.reshape(len(filters), tile.taps, -1).astype(np.int64)
    inputs = [extreme for matrix in covers for extreme in _extremes(matrix, low, high)]
    words = (int(weights.min()), int(weights.max()), *inputs)
    multiplier = op.multiplier[op.multiplier != 0]
    return (
        all(-_INT16 <= word < _INT16 for word in words)
        and _largest_sum(op) * tile.power < _INT32
        and bool((multiplier >= _SMALLEST * tile.power).all())
    )


def _nested(rows: Matrix, columns: Matrix) -> NDArray[np.int64]:
    """The transform of a tile as one matrix: the Kronecker product."""
    return np.kron(np.array(rows), np.array(columns)).astype(np.int64)


def _extremes(matrix: NDArray[np.int64], low: int, high: int) -> tuple[int, int]:
    """The smallest and the largest number that a transform makes of numbers between `low` and `high`."""
    up, down = np.maximum(matrix, 0).sum(axis=1), np.minimum(matrix, 0).sum(axis=1)
    return int((up * low + down * high).min()), int((up * high + down * low).max())


def _largest_sum(op: Conv) -> int:
    """The largest absolute value that sum((x - zx) w) + bias can have, of all channels."""
    zeros = np.broadcast_to(np.array(op.input.zero_point, np.int64), op.input.channels)
    weight, bias = op.weight.astype(np.int64), op.bias.astype(np.int64)
    up = np.maximum(weight, 0).sum(axis=(2, 3))
    down = np.minimum(weight, 0).sum(axis=(2, 3))
    highest = up @ (255 - zeros) - down @ zeros + bias
    lowest = down @ (255 - zeros) - up @ zeros + bias
    return int(max(highest.max(), -lowest.min()))


def direct_cost(op: Conv, products: WordProducts) -> float:
    """Estimated instructions of the ordinary convolution, without those that both ways have in common."""
    macs = op.output.height * op.output.width * op.weight.size
    return macs * products.cost_of_bytes


def winograd_cost(op: Conv, cover: Tiling, products: WordProducts) -> float:
    """Estimated instructions by minimal filters: products, and what transforms load, add and store."""
    inputs, outputs = int(taps(op).shape[-1]), stored_channels(op.output.channels)
    macs = cover.points * inputs * outputs
    read = cover.points * inputs / (2 * products.lanes)
    written = cover.points * outputs / products.lanes
    weights = cover.tile.points * inputs * outputs / (2 * products.lanes)
    return macs * products.cost + _TRANSFORM * (read + written + weights)


def taps(op: Conv) -> NDArray[np.int8]:
    """Weights [output channel][row][column][input channel] of the convolution with stride 1.

    With stride 2 an input channel is a phase of one: [phase of rows][phase of columns][channel].
    """
    if not _by_phases(op):
        return op.weight.transpose(0, 2, 3, 1)
    count, channels, *kernel = op.weight.shape
    rows, columns = (-(-size // PHASES) for size in kernel)
    whole = np.zeros((count, channels, rows * PHASES, columns * PHASES), np.int8)
    whole[:, :, : kernel[0], : kernel[1]] = op.weight
    apart = whole.reshape(count, channels, rows, PHASES, columns, PHASES)
    return apart.transpose(0, 2, 4, 3, 5, 1).reshape(count, rows, columns, -1)


def pack_winograd(op: Conv, kernel: WinogradKernel) -> PackedConv:
    """Weights [block][slice][tap][input channels][output and input channel].

    Biases know how many times too large results are, multipliers by which power of two sums are.
    """
    found, size = taps(op), kernel.tile.taps
    count, inputs = len(found), found.shape[-1]
    stored = np.zeros((kernel.channels, size, kernel.inputs), np.int8)
    stored[:count, :, :inputs] = found.reshape(count, size, inputs)
    slices = stored.reshape(kernel.channels, size, -1, kernel.sizes.slice).transpose(0, 2, 1, 3)
    runs = slices.reshape(kernel.channels, -1, kernel.sizes.slice)
    power = kernel.tile.power
    return PackedConv(
        pack(runs, BLOCK, kernel.granule),
        stored_bias(op, kernel.channels, kernel.isa) * kernel.tile.scale,
        stored_multiplier(op, kernel.channels) / np.float32(power),
        stored_factor(op, kernel.channels),
    )
