"""The steps of operators that go over tensors number by number."""

from dataclasses import replace
from typing import assert_never

import numpy as np

from targets.tvm.addresses import Addresses
from targets.tvm.kernels.lookup import LookupKernel
from targets.tvm.kernels.rectify import RectifyKernel
from targets.tvm.kernels.requantise import ResultRange
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.two_operands import AddKernel, MultiplyKernel
from targets.tvm.operators.element_by_element import Add, Lookup, Multiply, Pointwise, Rectify
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.program import Step
from targets.tvm.tensors import Tensor
from targets.tvm.weights import limits


def pointwise(op: Pointwise, place: Addresses) -> Step:
    """The one step of such an operator."""
    match op:
        case Add():
            return _add(op, place)
        case Multiply():
            return _multiply(op, place)
        case Rectify():
            return _rectify(op, place)
        case Lookup():
            return _lookup(op, place)
        case _:
            assert_never(op)


def _add(op: Add, place: Addresses) -> Step:
    kernel = AddKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=place.layouts[op.output.name].channels,
        x=place.strides(op.input),
        r=_joined(op.residual.tensor, op.output, place),
        one_channel=_one_channel(op.residual.tensor, op.output),
        y=place.strides(op.output),
        limits=limits(op, op.output, op.clip),
    )
    zero, multiplier = np.array([-place.zero(op.input)]), np.array([op.multiplier])
    return Step(
        op.node,
        kernel,
        x=place.pixels(op.input),
        p=place.parameters(zero, multiplier, op.output, op.clip, op.residual),
        r=place.pixels(op.residual.tensor),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )


def _multiply(op: Multiply, place: Addresses) -> Step:
    kernel = MultiplyKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=place.layouts[op.output.name].channels,
        x=place.strides(op.input),
        r=_joined(op.factor, op.output, place),
        one_channel=_one_channel(op.factor, op.output),
        y=place.strides(op.output),
        limits=_product_range(op),
    )
    zero, multiplier = np.array([-place.zero(op.input)]), np.array([op.multiplier])
    return Step(
        op.node,
        kernel,
        x=place.pixels(op.input),
        p=place.parameters(zero, multiplier, op.output, op.clip, Residual(op.factor, 1.0)),
        r=place.pixels(op.factor),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )


def _joined(other: Tensor, output: Tensor, place: Addresses) -> Strides:
    """How to go over what all values are joined to: one pixel stays where it is."""
    one_pixel = (other.height, other.width) != (output.height, output.width)
    strides = place.strides(other)
    return replace(strides, row=0, pixel=0) if one_pixel else strides


def _one_channel(other: Tensor, output: Tensor) -> bool:
    return other.channels != output.channels


def _product_range(op: Multiply) -> ResultRange:
    """The bounds on products that are known before they are rounded."""
    largest, clipped = float(op.input.highest) * op.factor.highest * op.multiplier, op.clip != Clip()
    return ResultRange(largest >= 1 << 30, largest < (1 << 15) - 1, clipped, op.output.zero_point == (0,))


def _rectify(op: Rectify, place: Addresses) -> Step:
    channels = place.layouts[op.output.name].channels
    largest, clipped = 255.0 * max(op.multiplier, float(np.abs(op.slopes).max())), op.clip != Clip()
    zero, multiplier = np.array([-place.zero(op.input)]), np.array([op.multiplier])
    kernel = RectifyKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=channels,
        x=place.strides(op.input),
        y=place.strides(op.output),
        limits=ResultRange(
            largest >= 1 << 30, largest < (1 << 15) - 1, clipped, op.output.zero_point == (0,)
        ),
    )
    return Step(
        op.node,
        kernel,
        x=place.pixels(op.input),
        w=place.constants.add(np.pad(op.slopes, (0, channels - len(op.slopes)))),
        p=place.parameters(zero, multiplier, op.output, op.clip, None),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )


def _lookup(op: Lookup, place: Addresses) -> Step:
    stored = place.layouts[op.input.name].channels
    same = stored == place.layouts[op.output.name].channels  # the image's are not padded
    kernel = LookupKernel(
        isa=place.isa,
        height=op.output.height,
        width=op.output.width,
        channels=stored if same else op.output.channels,
        x=place.strides(op.input),
        y=place.strides(op.output),
    )
    return Step(
        op.node,
        kernel,
        x=place.pixels(op.input),
        w=place.constants.add(kernel.arranged(op.table)),
        y=place.pixels(op.output),
        fill=place.fill(op.output),
    )
