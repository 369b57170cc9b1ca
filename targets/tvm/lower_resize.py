"""The steps of operators that make maps larger or smaller."""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from targets.tvm.addresses import Addresses
from targets.tvm.kernels.resampling import InterpolateKernel, PickKernel, PixelShuffleKernel
from targets.tvm.operators.kernel_call import result_range
from targets.tvm.operators.resizing import Interpolate, Neighbours, Pick, PixelShuffle, Resize
from targets.tvm.program import Step
from targets.tvm.tensors import Int32s


def resize(op: Resize, place: Addresses) -> Step:
    """The one step of such an operator."""
    match op:
        case Pick():
            return _pick(op, place)
        case Interpolate():
            return _interpolate(op, place)
        case PixelShuffle():
            return _pixel_shuffle(op, place)
        case _:
            assert_never(op)


def _pick(op: Pick, place: Addresses) -> Step:
    x = place.strides(op.input)
    kernel = PickKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=place.channels(op.output),
        order=() if op.all_channels else tuple(op.channels.tolist()),
        y=place.strides(op.output),
    )
    return Step(
        op.node,
        kernel,
        x=place.pixels(op.input),
        w=place.constants.add(_joined(op.rows * x.row, op.columns * x.pixel)),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )


def _pixel_shuffle(op: PixelShuffle, place: Addresses) -> Step:
    kernel = PixelShuffleKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=op.output.channels,
        block=op.block,
        channels_first=op.channels_first,
        x=place.strides(op.input),
        y=place.strides(op.output),
    )
    x, y = place.pixels(op.input), place.pixels(op.output)
    return Step(op.node, kernel, x=x, y=y, fill=place.fill(op.output))


def _interpolate(op: Interpolate, place: Addresses) -> Step:
    x, parts = place.strides(op.input), op.rows.parts * op.columns.parts
    kernel = InterpolateKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=place.channels(op.output),
        parts=(op.rows.parts, op.columns.parts),
        y=place.strides(op.output),
        limits=result_range(255.0 * parts * op.multiplier, op.output, op.clip),
    )
    zero, multiplier = np.array([-place.stored(op.input.zero)]), np.array([op.multiplier])
    return Step(
        op.node,
        kernel,
        x=place.pixels(op.input),
        w=place.constants.add(_joined(*_bytes(op.rows, x.row), *_bytes(op.columns, x.pixel))),
        p=place.parameters(zero, multiplier, op.output, op.clip, None),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )


def _bytes(samples: Neighbours, stride: int) -> tuple[Int32s, ...]:
    return samples.first * stride, samples.second * stride, samples.share


def _joined(*tables: NDArray[np.int32]) -> Int32s:
    return np.concatenate(tables).astype(np.int32)
