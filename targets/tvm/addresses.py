"""Addresses of a program: activations in the arena, weights and parameters in the constants."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.tvm.arena import Lifetime, plan
from targets.tvm.depthwise_layer import DepthwiseLayer, depthwise_layer
from targets.tvm.integer_graph import IntegerGraph, Island, Operator, outputs
from targets.tvm.isa import CENTRE, Isa
from targets.tvm.kernels.strides import Strides
from targets.tvm.layout import Layout, layouts
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import Clip, Residual
from targets.tvm.operators.window_pooling import AveragePool
from targets.tvm.program import Fill
from targets.tvm.tensors import Dense, Tensor
from targets.tvm.weights import Blob, ConvGeometry, conv_geometry, dense_waste, parameters
from targets.tvm.winograd_layer import WinogradLayer, winograd_layer

_NO_FACTOR = np.zeros(0, np.float32)
_FLOAT = 4  # bytes of a float32
_SMALL = 1 << 16
"""Tensors of up to this many bytes are kept one step longer, so that no thread waits to overwrite them."""


ConvForm = ConvGeometry | DepthwiseLayer | WinogradLayer


def convolution(op: Conv, x: Layout, isa: Isa) -> ConvForm:
    """Choose the form of a convolution: channels times taps, minimal filters, or runs of bytes."""
    depthwise = depthwise_layer(op, x, isa, dense_waste(op, x, isa))
    return depthwise or winograd_layer(op, x, isa) or conv_geometry(op, x, isa)


class Addresses:
    """Addresses of tensors, fixed when this is created; constants are added as steps need them.

    keeps_all: no tensor's memory is used again, so that all can be read after a run.
    """

    def __init__(self, graph: IntegerGraph, isa: Isa, keeps_all: bool = False) -> None:
        self.isa = isa
        self.layouts = layouts(graph, isa)
        self.convolutions = {
            op.node: convolution(op, self.layouts[op.input.name], self.of(op))
            for op in graph.operators
            if isinstance(op, Conv)
        }
        lives = list(lifetimes(graph, self.layouts, self.convolutions))
        if keeps_all:
            lives = [replace(one, first=0, last=len(graph.operators)) for one in lives]
        self.arena = plan(lives)
        self.constants = Blob()

    def of(self, op: Conv) -> Isa:
        """The instruction set that a convolution is computed with."""
        return self.isa.for_wide if op.input.wide else self.isa

    def start(self, tensor: Tensor | Dense) -> int:
        """Return the arena offset of a tensor's memory, its halo included."""
        return self.arena.offsets[tensor.name]

    def pixels(self, tensor: Tensor) -> int:
        """Return the arena offset of a tensor's first pixel."""
        return self.start(tensor) + self.layouts[tensor.name].origin

    def prepared(self, op: Conv) -> int:
        """Return the arena offset of a convolution's prepared input: paired, widened or split."""
        return self.arena.offsets[_prepared(op)]

    def buffer(self, island: Island, name: str) -> int:
        """Return the arena offset of a buffer that only an island's functions use."""
        return self.arena.offsets[_inside(island, name)]

    def channels(self, tensor: Tensor) -> int:
        """The channels of a tensor as stored: padded, but the image's."""
        return self.layouts[tensor.name].channels

    def strides(self, tensor: Tensor) -> Strides:
        """Elements between a tensor's rows and pixels."""
        return self.layouts[tensor.name].strides

    def stored(self, value: int) -> int:
        """A uint8 value as this instruction set stores it."""
        return value - 128 if self.isa.signed else value

    def zero(self, tensor: Tensor) -> int:
        """The zero point as kernels read it; of bytes that lie apart 256 * high + low, as they are stored."""
        lowered = self.layouts[tensor.name].lowered
        return tensor.zero - lowered if tensor.wide else self.stored(tensor.zero)

    def written(self, value: int, tensor: Tensor) -> int:
        """A number of a tensor as it is rounded: int16 for 16 bits, also where bytes lie apart afterwards."""
        return value - CENTRE if tensor.wide else self.stored(value)

    def fill(self, tensor: Tensor, whole: bool = False) -> Fill | None:
        """Return the value for a tensor's halo or, with `whole`, for all of it; None if there is no halo."""
        layout = self.layouts[tensor.name]
        if not whole and not layout.has_halo:
            return None
        pixel = self._zeros(tensor, layout)
        return Fill(self.start(tensor), layout, self.constants.add(pixel), len(set(pixel)) > 1, whole)

    def _zeros(self, tensor: Tensor, layout: Layout) -> NDArray[np.uint8]:
        """The bytes of a pixel of zero points."""
        if tensor.wide and not layout.apart:
            return np.full(layout.channels, self.written(tensor.zero, tensor), "<i2").view(np.uint8)
        points = tuple(divmod(tensor.zero, 256)) if tensor.wide else tensor.zero_point
        each = np.repeat([self.stored(z) for z in points], layout.channels if tensor.wide else 1)
        return np.resize(each, layout.pixel).astype(np.uint8)

    def parameters(
        self,
        bias: NDArray[Any],
        multiplier: NDArray[Any],
        output: Tensor,
        clip: Clip,
        residual: Residual | None,
        factor: NDArray[np.float32] = _NO_FACTOR,
    ) -> int:
        """Add the parameters of a kernel that requantises; return their offset in the constants."""
        bounds = (output.zero, clip.low, clip.high)
        zero, low, high = (self.written(value, output) for value in bounds)
        other = (0, 0.0) if residual is None else (self.zero(residual.tensor), residual.multiplier)
        return self.constants.add(parameters(bias, multiplier, (zero, low, high), other, factor))

    def grid(self, zero: int, scale: float) -> int:
        """Add an int32 and a float32, the parameters of a kernel between integers and numbers."""
        numbers = np.array([zero, 0], np.int32)
        numbers[1] = np.float32(scale).view(np.int32)
        return self.constants.add(numbers)


def _inside(island: Island, buffer: str) -> str:
    return f"{island.outputs[0].name} / {buffer}"


def _prepared(op: Conv) -> str:
    return f"{op.node} / prepared"


def lifetimes(
    graph: IntegerGraph, found: dict[str, Layout], convolutions: dict[str, ConvForm]
) -> Iterator[Lifetime]:
    """Return lifetimes: from the operator that writes a tensor to the last that reads it, or one more."""
    last = {tensor.name: i for i, op in enumerate(graph.operators) for tensor in op.inputs}
    last[graph.logits.name] = len(graph.operators)
    for i, op in enumerate(graph.operators):
        for tensor in outputs(op):
            size = _size(op, tensor, found)
            yield Lifetime(tensor.name, size, i, last.get(tensor.name, i) + (size <= _SMALL))
        if isinstance(op, Island):
            yield from _buffers(op, i)
        if isinstance(op, Conv) and (kernel := convolutions[op.node].before):
            yield Lifetime(_prepared(op), kernel.size, i, i + (kernel.size <= _SMALL))


def _buffers(op: Island, position: int) -> Iterator[Lifetime]:
    from targets.tvm.floats.relax import program

    for buffer in program(op).buffers:
        yield Lifetime(_inside(op, buffer.name), buffer.size, position, position)


def _size(op: Operator, tensor: Tensor | Dense, found: dict[str, Layout]) -> int:
    if isinstance(tensor, Dense):
        return tensor.size
    return (_FLOAT if isinstance(op, Conv | AveragePool) and op.real else 1) * found[tensor.name].size
