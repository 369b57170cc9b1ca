"""From the integer graph to the steps of an engine: which kernels run, on what."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar, assert_never

import numpy as np

from targets.errors import EngineError
from targets.tvm.addresses import Addresses
from targets.tvm.depthwise_layer import DepthwiseLayer, pack_depthwise
from targets.tvm.floats.calls import Base, FloatCall, Pointer
from targets.tvm.integer_graph import Image, IntegerGraph, Island, Operator
from targets.tvm.isa import Isa
from targets.tvm.kernels.channel_max import ChannelMaxKernel
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.depthwise import DepthwiseKernel
from targets.tvm.kernels.elementwise import ImageKernel
from targets.tvm.kernels.pool import AveragePoolKernel, MaxPoolKernel, PoolKernel
from targets.tvm.kernels.reals import DequantiseKernel, QuantiseKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.winograd import WinogradKernel
from targets.tvm.layout import stored_channels
from targets.tvm.lower_copy import copy_kernel
from targets.tvm.lower_pointwise import pointwise
from targets.tvm.lower_resize import resize
from targets.tvm.operators.assembling import Assemble, Piece
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Pointwise
from targets.tvm.operators.float_boundary import Dequantise, Quantise
from targets.tvm.operators.resizing import Resize
from targets.tvm.operators.window_pooling import AveragePool, ChannelMax, MaxPool, Pooling
from targets.tvm.program import IMAGE, NOTHING, Fill, Program, Step
from targets.tvm.weights import ConvGeometry, limits, pack_conv
from targets.tvm.winograd_layer import WinogradLayer, pack_winograd

_Pool = TypeVar("_Pool", bound=PoolKernel)


def lower(graph: IntegerGraph, isa: Isa) -> Program:
    """Choose kernels and block sizes, place activations and pack weights."""
    return lower_onto(Addresses(graph, isa), graph)


def lower_onto(place: Addresses, graph: IntegerGraph) -> Program:
    """Choose kernels for activations that are placed, and pack weights."""
    isa, lowering = place.isa, Lowering(place, graph)
    steps = tuple(step for op in graph.operators for step in lowering.steps(op))
    image = graph.image
    return Program(
        isa,
        steps,
        place.constants.bytes(),
        place.arena.size,
        place.start(graph.logits),
        (image.height, image.width, image.channels),
        graph.classes,
        graph.output_pixels,
        lowering.floats,
    )


class Lowering:
    """Lowers operators one after the other: constants lie in the order of execution."""

    def __init__(self, place: Addresses, graph: IntegerGraph) -> None:
        self.isa, self.place, self.graph = place.isa, place, graph
        self.floats: dict[str, Any] = {}

    def steps(self, op: Operator) -> Iterator[Step]:
        """Lower the next operator."""
        if isinstance(op, Image):
            yield self._image(op)
        elif isinstance(op, Conv):
            yield from self._conv(op)
        elif isinstance(op, Pooling):
            yield self._pooling(op)
        elif isinstance(op, Pointwise):
            yield pointwise(op, self.place)
        elif isinstance(op, Resize):
            yield resize(op, self.place)
        elif isinstance(op, Assemble):
            yield from self._assemble(op)
        elif isinstance(op, Dequantise):
            yield self._dequantise(op)
        elif isinstance(op, Island):
            yield from self._island(op)
        elif isinstance(op, Quantise):
            yield self._quantise(op)
        else:
            assert_never(op)

    def _image(self, op: Image) -> Step:
        t, place = op.output, self.place
        kernel = ImageKernel(
            isa=self.isa, height=t.height, row=t.width * t.channels, stride=place.strides(t).row
        )
        return Step("image", kernel, x=IMAGE, y=place.pixels(t), fill=place.fill(t))

    def _conv(self, op: Conv) -> Iterator[Step]:
        if op.weight.min() < self.isa.lowest_weight:
            raise EngineError(
                f"{op.node}: its weights hold {op.weight.min()}; the kernels for {self.isa.name} take"
                f" {self.isa.lowest_weight} and more. Build the engine from the float network, or from the"
                " file that its quantiser wrote: such weights are then split."
            )
        place, how = self.place, self.place.convolutions[op.node]
        layout = place.layouts[op.input.name]
        pad_rows, pad_columns = op.window.pad
        x = place.pixels(op.input) - pad_rows * layout.row - pad_columns * layout.pixel
        if how.before:
            yield Step(f"{op.node}: {how.before.written}", how.before, x=x, y=place.prepared(op))
            x = place.prepared(op)
        kernel: ConvKernel | DepthwiseKernel | WinogradKernel
        match how:
            case DepthwiseLayer():
                kernel, packed = self._depthwise(op, how), pack_depthwise(op, how, place.of(op))
            case WinogradLayer():
                kernel = self._winograd(op, how)
                packed = pack_winograd(op, kernel)
            case ConvGeometry():
                kernel, packed = self._dense(op, how), pack_conv(op, how, place.of(op))
            case _:
                assert_never(how)
        yield Step(
            op.node,
            kernel,
            x=x,
            w=place.constants.add(packed.weight),
            p=place.parameters(
                packed.bias, packed.multiplier, op.output, op.clip, op.residual, packed.factor
            ),
            r=NOTHING if op.residual is None else place.pixels(op.residual.tensor),
            y=place.start(op.output) if op.real else place.pixels(op.output),
            fill=None if op.real else place.fill(op.output),
            macs=op.output.height * op.output.width * op.weight.size,
        )

    def _dense(self, op: Conv, geometry: ConvGeometry) -> ConvKernel:
        return ConvKernel(
            isa=self.place.of(op),
            height=op.output.height,
            width=op.output.width,
            channels=stored_channels(op.output.channels),
            windows=geometry.windows,
            tile=geometry.tile,
            limits=limits(op, op.output, op.clip),
            y=self.place.strides(op.output),
            residual=None if op.residual is None else self.place.strides(op.residual.tensor),
            logits=op.real,
            applied=op.function,
        )

    def _depthwise(self, op: Conv, layer: DepthwiseLayer) -> DepthwiseKernel:
        spread = layer.before
        return DepthwiseKernel(
            isa=self.place.of(op),
            height=op.output.height,
            width=op.output.width,
            channels=stored_channels(op.output.channels),
            window=layer.window,
            block=layer.block,
            limits=limits(op, op.output, op.clip),
            x=Strides(spread.row, spread.pixel) if spread else self.place.strides(op.input),
            y=self.place.strides(op.output),
            residual=None if op.residual is None else self.place.strides(op.residual.tensor),
            applied=op.function,
        )

    def _winograd(self, op: Conv, layer: WinogradLayer) -> WinogradKernel:
        return WinogradKernel(
            isa=self.isa,
            channels=stored_channels(op.output.channels),
            before=layer.transform,
            transforms=layer.inside,
            limits=limits(op, op.output, op.clip),
            y=self.place.strides(op.output),
            residual=None if op.residual is None else self.place.strides(op.residual.tensor),
            applied=op.function,
        )

    def _pool(self, kind: type[_Pool], op: MaxPool | AveragePool) -> _Pool:
        return kind(
            isa=self.isa,
            height=op.output.height,
            width=op.output.width,
            channels=self.place.channels(op.output),
            input_size=(op.input.height, op.input.width),
            window=op.window,
            x=self.place.strides(op.input),
            y=self.place.strides(op.output),
        )

    def _pooling(self, op: Pooling) -> Step:
        match op:
            case MaxPool():
                return self._max_pool(op)
            case AveragePool():
                return self._average_pool(op)
            case ChannelMax():
                return self._channel_max(op)
            case _:
                assert_never(op)

    def _channel_max(self, op: ChannelMax) -> Step:
        kernel = ChannelMaxKernel(
            isa=self.isa,
            height=op.output.height,
            width=op.output.width,
            channels=op.input.channels,
            x=self.place.strides(op.input),
            y=self.place.strides(op.output),
        )
        x, y = self.place.pixels(op.input), self.place.pixels(op.output)
        return Step(op.node, kernel, x=x, y=y, fill=self.place.fill(op.output))

    def _max_pool(self, op: MaxPool) -> Step:
        kernel = self._pool(MaxPoolKernel, op)
        x, y = self.place.pixels(op.input), self.place.pixels(op.output)
        return Step(op.node, kernel, x=x, y=y, fill=self.place.fill(op.output))

    def _average_pool(self, op: AveragePool) -> Step:
        kernel = replace(self._pool(AveragePoolKernel, op), logits=op.real)
        offsets = -self.place.zero(op.input) * np.arange(1, len(op.multipliers) + 1)
        return Step(
            op.node,
            kernel,
            x=self.place.pixels(op.input),
            p=self.place.parameters(offsets, op.multipliers, op.output, op.clip, None),
            y=self.place.start(op.output) if op.real else self.place.pixels(op.output),
            fill=None if op.real else self.place.fill(op.output),
        )

    def _assemble(self, op: Assemble) -> Iterator[Step]:
        covered = sum(piece.tensor.channels for piece in op.pieces) == op.output.channels
        fill = self.place.fill(op.output, whole=not covered)
        for piece in op.pieces:
            yield self._piece(op, piece, fill if piece is op.pieces[0] else None)

    def _piece(self, op: Assemble, piece: Piece, fill: Fill | None) -> Step:
        place, stored = self.place, stored_channels(piece.tensor.channels)
        bias, multiplier = np.array([-place.zero(piece.tensor)]), np.array([piece.multiplier])
        w = 0
        if piece.affine is not None:
            room = stored - piece.tensor.channels
            multiplier = np.pad(piece.affine.multiplier, (0, room))
            bias = np.full(len(multiplier), bias[0])
            w = place.constants.add(np.pad(piece.affine.offset, (0, room)))
        return Step(
            op.node,
            copy_kernel(op, piece, place),
            x=place.pixels(piece.tensor),
            w=w,
            p=place.parameters(bias, multiplier, op.output, op.clip, None),
            y=place.pixels(op.output) + piece.channel * place.strides(op.output).element,
            fill=fill,
        )

    def _dequantise(self, op: Dequantise) -> Step:
        place, tensor = self.place, op.input
        kernel = DequantiseKernel(
            isa=self.isa,
            height=tensor.height,
            width=tensor.width,
            channels=tensor.channels,
            x=place.strides(tensor),
            real=op.real,
            block=op.block,
        )
        p = place.grid(-place.zero(tensor), op.scale)
        x = place.start(tensor) if op.real else place.pixels(tensor)
        last = op.output.name == self.graph.logits.name  # a classifier's last layer needs no step for it
        return Step(f"{op.node} to float", kernel, x=x, p=p, y=place.start(op.output), int8=last)

    def _quantise(self, op: Quantise) -> Step:
        place, tensor = self.place, op.output
        kernel = QuantiseKernel(
            isa=self.isa,
            height=tensor.height,
            width=tensor.width,
            channels=tensor.channels,
            y=place.strides(tensor),
        )
        p = place.grid(place.written(tensor.zero, tensor), op.scale)
        x, y = place.start(op.input), place.pixels(tensor)
        return Step(op.node, kernel, x=x, p=p, y=y, fill=place.fill(tensor), int8=False)

    def _island(self, op: Island) -> Iterator[Step]:
        from targets.tvm.floats.relax import program

        island, place = program(op), self.place
        symbols = {name: f"edgec_float_{len(self.floats) + i}" for i, name in enumerate(island.functions)}
        self.floats |= {symbols[name]: function for name, function in island.functions.items()}
        where = {
            name: Pointer(Base.CONSTANTS, place.constants.add(v)) for name, v in island.constants.items()
        }
        where[self.graph.pixels] = Pointer(Base.IMAGE, 0)
        for dense in (*op.inputs, *op.outputs):
            if dense.name != self.graph.pixels:
                where[dense.name] = Pointer(Base.ARENA, place.start(dense))
        for buffer in island.buffers:
            where[buffer.name] = Pointer(Base.ARENA, place.buffer(op, buffer.name))
        for call in island.calls:
            pointers = tuple(where[name] for name in call.arguments)
            kernel = FloatCall(symbols[call.function], pointers)
            yield Step(f"{op.node}: {call.function}", kernel, x=IMAGE, y=0, int8=False)
