"""Packs weights and parameters in the order and form in which kernels read them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.tvm.chained_weights import Chained, chained
from targets.tvm.conv_constants import (
    PackedConv,
    stored_bias,
    stored_factor,
    stored_multiplier,
)
from targets.tvm.excess_weights import without_excess
from targets.tvm.isa import Isa
from targets.tvm.kernels.dot import chains_products, inner_step
from targets.tvm.kernels.gather import Gather, worth_gathering
from targets.tvm.kernels.inner_step import pack
from targets.tvm.kernels.pair import PairKernel, pair_rows
from targets.tvm.kernels.requantise import SCALARS, ResultRange, Scalar
from targets.tvm.kernels.split_bytes import SplitBytes, split_bytes
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.widen import WidenKernel, widen
from targets.tvm.kernels.window_runs import WindowRuns
from targets.tvm.layout import Layout, stored_channels
from targets.tvm.operators.assembling import Piece
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.kernel_call import result_range
from targets.tvm.operators.results_on_grids import Clip
from targets.tvm.schedule import choose, reading_order
from targets.tvm.tensors import Tensor
from targets.tvm.tile import ConvShape, Tile

_ALIGNMENT = 64


class Blob:
    """Constants in execution order, each at the start of a cache line. Equal ones are stored once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._offsets: dict[bytes, int] = {}
        self._size = 0

    def add(self, values: NDArray[Any]) -> int:
        """Append an array's bytes; returns their offset."""
        data = values.tobytes()
        if data not in self._offsets:
            self._offsets[data] = self._size
            padded = data + bytes(-len(data) % _ALIGNMENT)
            self._parts.append(padded)
            self._size += len(padded)
        return self._offsets[data]

    def bytes(self) -> bytes:
        """Everything."""
        return b"".join(self._parts)


@dataclass(frozen=True)
class Groups:
    """Which input channels a block of output channels reads: the groups' that it needs, and maybe others.

    `block`: output channels that share their `inputs` input channels. `step`: (outputs, inputs) of a group;
    a block reads from its first group on, the last ones from `last` on, so that nothing beyond is read.
    """

    block: int
    inputs: int
    step: tuple[int, int]
    last: int

    def first(self, channel: int) -> int:
        """The first input channel that the block of an output channel reads."""
        outputs, inputs = self.step
        return min(channel // self.block * self.block // outputs * inputs, self.last)


@dataclass(frozen=True)
class ConvGeometry:
    """How a convolution is blocked: how its windows are read, by blocks of which size.

    `order`: the columns of the kernel that are read together, in the order in which they are. `chained`: the
    order of granules, where each block of channels has its own.
    """

    windows: WindowRuns
    order: tuple[int, ...]
    groups: Groups
    tile: Tile
    shape: ConvShape
    chained: Chained | None = None

    @property
    def before(self) -> PairKernel | WidenKernel | SplitBytes | None:
        """The kernel that first brings the input into another order or form, if there is one."""
        return self.windows.before


def _groups(op: Conv, x: Layout, isa: Isa) -> Groups:
    count, inputs = op.weight.shape[:2]
    outputs, channels = count // op.groups, stored_channels(count)
    if op.groups == 1:
        return Groups(channels, x.channels, (channels, 0), 0)
    block = isa.lanes
    if outputs % block == 0 and channels % outputs == 0:
        block = outputs
    spans = [
        (min(first + block, count) - 1) // outputs - first // outputs + 1 for first in range(0, count, block)
    ]
    window = max(spans) * inputs
    return Groups(block, window, (outputs, inputs), op.groups * inputs - window)


def dense_waste(op: Conv, x: Layout, isa: Isa) -> float:
    """How many products a convolution takes as runs of bytes, for each product that is needed."""
    granule = inner_step(isa).granule
    read: int = -(-_groups(op, x, isa).inputs // granule) * granule
    return read / int(op.weight.shape[1])


def conv_geometry(op: Conv, x: Layout, isa: Isa) -> ConvGeometry:
    """Decide how a convolution is blocked."""
    plain = _geometry(op, x, isa)
    if not chains_products(isa) or op.groups > 1 or plain.windows.gather:
        return plain
    listed = _geometry(op, x, isa, listed=True)
    found = chained(_by_granule(op, listed, isa))
    if not found.is_worth_it:
        return plain
    return replace(listed, windows=replace(listed.windows, chains=found.chains), chained=found)


def _geometry(op: Conv, x: Layout, isa: Isa, listed: bool = False) -> ConvGeometry:
    """How a convolution is blocked, with its granules in the same order for all channels or `listed`.

    Groups: a block of output channels reads the window of input channels that its groups need, with zero
    weights for channels of other groups.
    """
    (kh, kw), (dh, dw) = op.window.kernel, op.window.dilation
    groups = _groups(op, x, isa)
    channels, window = stored_channels(op.weight.shape[0]), groups.inputs
    pairs = _pairs(op, x, isa)
    read = (isa, _size(op), op.window.reach(1, 1), op.window.stride, x, kh * kw * channels)
    split = split_bytes(*read, max(op.input.zero_point)) if op.groups == 1 and not x.wide else None
    wide = None if split else widen(*read)
    inner = inner_step(isa, words=x.strides.words, split=split is not None)
    between, following = _distances(op, x, pairs, split or wide)
    order = (0,) if listed else reading_order(kw, op.window.stride[1], dw, window, inner)
    contiguous = len(order) == 1 and dw == 1 and window == x.channels and not pairs
    contiguous = contiguous and not x.strides.low
    run = kw * x.channels if contiguous else window
    if (kh, kw) == (1, 1) and op.groups == 1 and pairs is None and split is None:
        run = op.weight.shape[1]  # channels that only fill up a pixel stand behind the others
    taps = (kh, 1 if contiguous or len(order) > 1 else kw)
    tap_step = (dh * between.row, dw * between.pixel)
    gather = None
    if isa.signed and contiguous and worth_gathering(kh, run, inner.granule):
        gather = Gather(kh, tap_step[0], run)
        taps, run = (1, 1), kh * run
    windows = WindowRuns(
        next=following,
        taps=taps,
        tap_step=tap_step,
        run=run,
        group=(*groups.step, groups.last),
        spread=tuple(column * tap_step[1] for column in order),
        gather=gather,
        pairs=pairs,
        widened=wide,
        split=split,
        low=x.strides.low,
        words=wide is not None or x.strides.words,
    )
    shape = replace(_blocked(op, windows, groups, order, inner.granule), chained=listed)
    return ConvGeometry(windows, order, groups, choose(shape, _roomy(isa) if windows.low else isa), shape)


def _blocked(op: Conv, windows: WindowRuns, groups: Groups, order: Sequence[int], granule: int) -> ConvShape:
    """What the choice of a tile depends on. granule: channels that one step of sums adds up."""
    return ConvShape(
        height=op.output.height,
        width=op.output.width,
        channels=stored_channels(op.weight.shape[0]),
        granules=-(-windows.run // granule),
        runs=windows.count,
        group=groups.block,
        overlap=-(-len(order) // op.window.stride[1]),
        stride=op.window.stride[1],
        residual=op.residual is not None,
        paired=windows.pairs is not None,
        split=windows.split is not None,
        words=windows.words,
    )


def _roomy(isa: Isa) -> Isa:
    """Registers that are left where sums of high bytes are moved between two loops."""
    return replace(isa, registers=isa.registers * 5 // 8)


def _pairs(op: Conv, x: Layout, isa: Isa) -> PairKernel | None:
    if op.groups > 1:
        return None
    strides = x.strides
    return pair_rows(
        isa,
        _size(op),
        op.window.reach(1, 1),
        op.window.stride,
        (strides.row, strides.pixel),
        op.output.height * op.output.width * op.weight.size,
    )


def _size(op: Conv) -> tuple[int, int]:
    return op.output.height, op.output.width


def _distances(
    op: Conv, x: Layout, pairs: PairKernel | None, copied: WidenKernel | SplitBytes | None
) -> tuple[Strides, Strides]:
    """Elements between neighbouring pixels of what is read, and between windows of neighbouring outputs."""
    (sy, sx), pixel = op.window.stride, x.strides.pixel
    if copied is not None:
        if op.window.reach(1, 1) == (1, 1):  # no other pixels have been written
            sy = sx = 1
        return copied.strides, Strides(sy * copied.strides.row, sx * copied.strides.pixel)
    if pairs is None:
        return x.strides, Strides(sy * x.strides.row, sx * pixel)
    return Strides(pairs.row, pairs.pixel), Strides(pairs.windows, sx * pairs.pixel)


def pack_conv(op: Conv, geometry: ConvGeometry, isa: Isa) -> PackedConv:
    """Pack weights by blocks of channels."""
    channels, windows = stored_channels(op.weight.shape[0]), geometry.windows
    if geometry.chained:
        offsets = _granule_offsets(windows, inner_step(isa).granule)
        packed = geometry.chained.pack(_by_granule(op, geometry, isa), offsets)
    else:
        packed = _in_blocks(op, geometry, isa)
    if windows.split:
        packed = without_excess(packed, windows, windows.split)
    return PackedConv(
        packed,
        stored_bias(op, channels, isa),
        stored_multiplier(op, channels),
        stored_factor(op, channels),
    )


def _in_blocks(op: Conv, geometry: ConvGeometry, isa: Isa) -> NDArray[np.int8]:
    """Weights [block of channels, run, granule, channel, byte]."""
    channels = stored_channels(op.weight.shape[0])
    dense = _windowed(op, geometry, channels)
    inner = inner_step(isa, words=geometry.windows.words, split=geometry.windows.split is not None)
    if len(geometry.order) > 1:
        padded = _interleaved(dense, geometry.order, inner.granule * inner.unit)
    else:
        run = geometry.windows.run
        padded = np.zeros(
            (channels, geometry.windows.count, -(-run // inner.granule) * inner.granule), np.int8
        )
        padded[:, :, :run] = dense.reshape(*padded.shape[:2], -1)[:, :, :run]
    return pack(padded, geometry.tile.vectors * isa.lanes, inner.granule)


def _by_granule(op: Conv, geometry: ConvGeometry, isa: Isa) -> NDArray[np.int8]:
    """Weights [block of channels, granule of the window, channel, byte]."""
    packed = _in_blocks(op, geometry, isa)
    return packed.reshape(len(packed), -1, *packed.shape[3:])


def _granule_offsets(windows: WindowRuns, granule: int) -> NDArray[np.int64]:
    """Where the activations of each granule of a window are."""
    (rows, columns), (down, right) = windows.taps, windows.tap_step
    runs = np.arange(rows)[:, None] * down + np.arange(columns) * right
    return (runs.reshape(-1, 1) + np.arange(0, windows.run, granule)).reshape(-1)


def _windowed(op: Conv, geometry: ConvGeometry, channels: int) -> NDArray[np.int8]:
    """Weights [stored K, R, S, window]: each output channel's own inputs at their place in its window."""
    count, per_group, kh, kw = op.weight.shape
    outputs = count // op.groups
    dense = np.zeros((channels, kh, kw, geometry.groups.inputs), np.int8)
    for k in range(count):
        first = (k // outputs) * per_group - geometry.groups.first(k)
        dense[k, :, :, first : first + per_group] = op.weight[k].transpose(1, 2, 0)
    return dense


def _interleaved(dense: NDArray[np.int8], order: tuple[int, ...], chunk: int) -> NDArray[np.int8]:
    """Reorder weights [K, R, S, window] to [K, R, bytes]: a chunk of each column of a row in turn."""
    count, rows, columns, window = dense.shape
    chunks = dense[:, :, list(order)].reshape(count, rows, columns, window // chunk, chunk)
    return chunks.transpose(0, 1, 3, 2, 4).reshape(count, rows, -1)


def parameters(
    bias: NDArray[Any],
    multiplier: NDArray[Any],
    limits: tuple[int, int, int],
    residual: tuple[int, float],
    factor: NDArray[np.float32],
) -> NDArray[np.int32]:
    """The block p of a kernel: see `kernels.requantise`. Biases wrap around as sums do."""
    scalars = np.zeros(SCALARS, np.int32)
    scalars[[Scalar.ZERO, Scalar.LOW, Scalar.HIGH, Scalar.RESIDUAL_OFFSET]] = (*limits, -residual[0])
    scalars[Scalar.RESIDUAL_MULTIPLIER] = np.float32(residual[1]).view(np.int32)
    wrapped = bias.astype(np.int64).astype(np.uint32).view(np.int32)
    floats = (multiplier.astype(np.float32).view(np.int32), factor.view(np.int32))
    return np.concatenate([wrapped, floats[0], scalars, floats[1]])


def limits(op: Conv | Piece, output: Tensor, clip: Clip) -> ResultRange:
    """The bounds on the results of sums, or of a copy, that are known before they are rounded."""
    if isinstance(op, Conv):
        if op.real:
            return ResultRange()
        weights = np.abs(op.weight.astype(np.int64)).sum(axis=(1, 2, 3))
        sums = (float(op.input.highest) * weights + np.abs(op.bias.astype(np.int64))) * op.multiplier
        largest = float((sums if op.applied is None else op.applied.largest(sums)).max())
        if op.residual is not None:
            largest += op.residual.tensor.highest * abs(op.residual.multiplier)
    elif op.affine is not None:
        largest = float((op.tensor.highest * np.abs(op.affine.multiplier) + np.abs(op.affine.offset)).max())
    else:
        largest = float(op.tensor.highest) * op.multiplier
    return result_range(largest, output, clip)
