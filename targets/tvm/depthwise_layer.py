"""Which convolutions are computed as a vector of channels times taps, and their weights in that order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.tvm.conv_constants import (
    PackedConv,
    stored_bias,
    stored_factor,
    stored_multiplier,
)
from targets.tvm.isa import Isa
from targets.tvm.kernels.depthwise import choose_block, chunks
from targets.tvm.kernels.depthwise_window import TapBlock, TapWindow, window_plan
from targets.tvm.kernels.dot import tap_step
from targets.tvm.kernels.spread import SpreadKernel
from targets.tvm.kernels.tap_plan import NO_TAP
from targets.tvm.kernels.tap_step import TapStep
from targets.tvm.layout import Layout, stored_channels
from targets.tvm.operators.convolution import Conv
from targets.tvm.tile import cut

_MOST_INPUTS = 8
"""Groups of more input channels are multiplied as runs of bytes."""


@dataclass(frozen=True)
class DepthwiseLayer:
    """How such a convolution is computed. `before`: the kernel that reorders its input channels, if any."""

    window: TapWindow
    block: TapBlock
    before: SpreadKernel | None


def depthwise_layer(op: Conv, x: Layout, isa: Isa, waste: float) -> DepthwiseLayer | None:
    """Return the layer; None where multiplying runs of bytes is faster.

    `waste`: how many products runs of bytes take for each product that is needed.
    """
    count, inputs = op.weight.shape[:2]
    outputs = count // op.groups
    if op.groups == 1 or op.real or inputs > _MOST_INPUTS or waste < _WORTH:
        return None
    window = TapWindow(op.window.kernel, op.window.stride, op.window.dilation, inputs)
    block = choose_block(window, op.output.height, op.output.width, isa, x.wide)
    if block is None:
        return None
    height, width = op.window.reach(op.output.height, op.output.width)
    spread = SpreadKernel(
        isa=isa,
        height=height,
        width=width,
        x_row=x.strides.row,
        x_pixel=x.strides.pixel,
        inputs=inputs,
        outputs=outputs,
        count=count,
        channels=stored_channels(count),
    )
    if inputs == outputs == 1:
        return DepthwiseLayer(window, block, None)
    return None if x.wide else DepthwiseLayer(window, block, spread)


_WORTH = 2.0


def pack_depthwise(op: Conv, layer: DepthwiseLayer, isa: Isa) -> PackedConv:
    """Weights for each size of a block's rows, then as `kernels.depthwise` goes over them."""
    channels, wide = stored_channels(op.weight.shape[0]), op.input.wide
    kernel = _by_tap(op, channels)
    parts = [
        _chunk(kernel[first : first + chunk.size], layer.window, piece.size, tap_step(isa, chunk.size, wide))
        for piece in cut(op.output.height, layer.block.rows)
        for chunk in chunks(channels, isa, wide)
        for first in range(chunk.first, chunk.first + chunk.count * chunk.size, chunk.size)
    ]
    order, factor = _order(channels, isa, wide), stored_factor(op, channels)
    return PackedConv(
        np.concatenate(parts),
        stored_bias(op, channels, isa)[order],
        stored_multiplier(op, channels)[order],
        factor[order] if factor.size else factor,
    )


def _by_tap(op: Conv, channels: int) -> NDArray[np.int8]:
    """Weights [stored K, kernel row * planes + plane, kernel column], and a tap of zeros at the end."""
    count, inputs, kh, kw = op.weight.shape
    found = np.zeros((channels, kh * inputs + 1, kw), np.int8)
    found[:count, :-1] = op.weight.transpose(0, 2, 1, 3).reshape(count, kh * inputs, kw)
    return found


def _chunk(weights: NDArray[np.int8], window: TapWindow, rows: int, step: TapStep) -> NDArray[np.int8]:
    """Weights [channels, taps, columns] of one vector of channels, for blocks of `rows` rows."""
    ordered = weights[step.order]
    parts = []
    for uses in window_plan(window, rows, step).uses:
        for use in uses:
            taps = [*use.taps, *[NO_TAP] * (step.together - len(use.taps))]
            parts += [step.pack(ordered[:, :, taps, column]) for column in range(window.kernel[1])]
    return np.concatenate(parts)


def _order(channels: int, isa: Isa, wide: bool) -> NDArray[np.int64]:
    """The channels in the order of registers."""
    parts = [
        first + tap_step(isa, chunk.size, wide).order.reshape(-1)
        for chunk in chunks(channels, isa, wide)
        for first in range(chunk.first, chunk.first + chunk.count * chunk.size, chunk.size)
    ]
    return np.concatenate(parts)
