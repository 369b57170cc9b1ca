"""From the integer graph to the steps of an engine: kernels, addresses, packed weights, memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.tvm.arena import Lifetime, plan
from targets.tvm.floats.calls import Base, FloatCall, Pointer
from targets.tvm.integer_graph import (
    Add,
    Assemble,
    AveragePool,
    Clip,
    Conv,
    Dense,
    Dequantise,
    Graph,
    Image,
    Island,
    MaxPool,
    Operator,
    Piece,
    Quantise,
    Residual,
    Tensor,
    inputs,
    outputs,
)
from targets.tvm.isa import Isa
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.kernels.elementwise import AddKernel, CopyKernel, ImageKernel
from targets.tvm.kernels.pool import AveragePoolKernel, MaxPoolKernel
from targets.tvm.kernels.reals import DequantiseKernel, QuantiseKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.layout import Layout, layouts, stored_channels
from targets.tvm.program import IMAGE, NOTHING, Fill, Program, Step
from targets.tvm.weights import (
    Blob,
    ConvGeometry,
    PackedConv,
    conv_geometry,
    limits,
    pack_conv,
    parameters,
)

_FLOAT = 4  # bytes of a float32
_SMALL = 1 << 16
"""A tensor of so few bytes stays for a step more, and no thread waits before it writes in its place."""


def lower(graph: Graph, isa: Isa) -> Program:
    """Choose kernels and block sizes, place activations and pack weights."""
    lowering = _Lowering(graph, isa)
    steps = tuple(step for op in graph.operators for step in lowering.steps(op))
    image = graph.image
    return Program(
        isa,
        steps,
        lowering.blob.bytes(),
        lowering.arena.size,
        lowering.arena.offsets[graph.logits.name],
        (image.height, image.width, image.channels),
        graph.classes,
        graph.output_pixels,
        lowering.floats,
    )


class _Lowering:
    def __init__(self, graph: Graph, isa: Isa) -> None:
        self.isa = isa
        self.pixels = graph.pixels
        self.layouts = layouts(graph)
        convolutions = [op for op in graph.operators if isinstance(op, Conv)]
        self.geometries = {
            op.node: conv_geometry(op, self.layouts[op.input.name], isa) for op in convolutions
        }
        self.arena = plan(list(_lifetimes(graph, self.layouts, self.geometries)))
        self.blob = Blob()
        self.floats: dict[str, Any] = {}

    def steps(self, op: Operator) -> Iterator[Step]:
        match op:
            case Image():
                yield self._image(op)
            case Conv():
                yield from self._conv(op)
            case MaxPool():
                yield self._max_pool(op)
            case AveragePool():
                yield self._average_pool(op)
            case Add():
                yield self._add(op)
            case Assemble():
                yield from self._assemble(op)
            case Dequantise():
                yield self._dequantise(op)
            case Island():
                yield from self._island(op)
            case Quantise():
                yield self._quantise(op)

    def _address(self, tensor: Tensor) -> int:
        return self.arena.offsets[tensor.name] + self.layouts[tensor.name].origin

    def _strides(self, tensor: Tensor) -> Strides:
        return self.layouts[tensor.name].strides

    def _stored(self, zero: int) -> int:
        return zero - 128 if self.isa.signed else zero

    def _fill(self, tensor: Tensor, whole: bool = False) -> Fill | None:
        layout = self.layouts[tensor.name]
        if not whole and not layout.has_halo:
            return None
        zeros = np.resize(np.array([self._stored(z) for z in tensor.zero_point], np.int16), layout.channels)
        pattern = self.blob.add(zeros.astype(np.int8 if self.isa.signed else np.uint8))
        varies = len(set(tensor.zero_point)) > 1
        return Fill(self.arena.offsets[tensor.name], layout, pattern, varies, whole)

    def _parameters(
        self,
        bias: NDArray[Any],
        multiplier: NDArray[Any],
        output: Tensor,
        clip: Clip,
        residual: Residual | None,
    ) -> int:
        zero, low, high = (self._stored(v) for v in (output.zero, clip.low, clip.high))
        other = (0, 0.0) if residual is None else (self._stored(residual.tensor.zero), residual.multiplier)
        return self.blob.add(parameters(bias, multiplier, (zero, low, high), other))

    def _image(self, op: Image) -> Step:
        t = op.output
        kernel = ImageKernel(self.isa, t.height, t.width * t.channels, self._strides(t).row)
        return Step("image", kernel, x=IMAGE, y=self._address(t), fill=self._fill(t))

    def _conv(self, op: Conv) -> Iterator[Step]:
        layout, geometry = self.layouts[op.input.name], self.geometries[op.node]
        pad_rows, pad_columns = op.window.pad
        x = self._address(op.input) - pad_rows * layout.strides.row - pad_columns * layout.strides.pixel
        if geometry.pairs:
            pairs = self.arena.offsets[_pairs(op)]
            yield Step(f"{op.node}: pairs of rows", geometry.pairs, x=x, y=pairs)
            x = pairs
        packed: PackedConv = pack_conv(op, geometry, self.isa)
        y = self._strides(op.output)
        residual = None if op.residual is None else self._strides(op.residual.tensor)
        kernel = ConvKernel(
            self.isa,
            op.output.height,
            op.output.width,
            len(packed.bias),
            geometry.taps,
            geometry.tap_step,
            geometry.run,
            geometry.x,
            y,
            geometry.tile,
            geometry.group,
            limits(op, op.output, op.clip),
            residual,
            op.real,
            tuple(column * geometry.tap_step[1] for column in geometry.order),
            geometry.gather,
            geometry.pairs,
        )
        yield Step(
            op.node,
            kernel,
            x=x,
            w=self.blob.add(packed.weight),
            p=self._parameters(packed.bias, packed.multiplier, op.output, op.clip, op.residual),
            r=NOTHING if op.residual is None else self._address(op.residual.tensor),
            y=self.arena.offsets[op.output.name] if op.real else self._address(op.output),
            fill=None if op.real else self._fill(op.output),
            macs=op.output.height * op.output.width * op.weight.size,
        )

    def _max_pool(self, op: MaxPool) -> Step:
        x, y = self.layouts[op.input.name], self.layouts[op.output.name]
        kernel = MaxPoolKernel(
            self.isa, (x.height, x.width), y.height, y.width, y.channels, op.window, x.strides, y.strides
        )
        return Step(
            op.node, kernel, x=self._address(op.input), y=self._address(op.output), fill=self._fill(op.output)
        )

    def _average_pool(self, op: AveragePool) -> Step:
        x, y = self.layouts[op.input.name], self.layouts[op.output.name]
        kernel = AveragePoolKernel(
            self.isa, (x.height, x.width), y.height, y.width, y.channels, op.window, x.strides, y.strides
        )
        offsets = -self._stored(op.input.zero) * np.arange(1, len(op.multipliers) + 1)
        p = self._parameters(offsets, op.multipliers, op.output, op.clip, None)
        return Step(
            op.node,
            kernel,
            x=self._address(op.input),
            p=p,
            y=self._address(op.output),
            fill=self._fill(op.output),
        )

    def _add(self, op: Add) -> Step:
        y = self.layouts[op.output.name]
        kernel = AddKernel(
            self.isa,
            y.height,
            y.width,
            y.channels,
            self._strides(op.input),
            self._strides(op.residual.tensor),
            y.strides,
            limits(op, op.output, op.clip),
        )
        bias, multiplier = np.array([-self._stored(op.input.zero)]), np.array([op.multiplier])
        return Step(
            op.node,
            kernel,
            x=self._address(op.input),
            p=self._parameters(bias, multiplier, op.output, op.clip, op.residual),
            r=self._address(op.residual.tensor),
            y=self._address(op.output),
            fill=self._fill(op.output),
        )

    def _assemble(self, op: Assemble) -> Iterator[Step]:
        covered = sum(piece.tensor.channels for piece in op.pieces) == op.output.channels
        fill = self._fill(op.output, whole=not covered)
        for piece in op.pieces:
            yield self._piece(op, piece, fill if piece is op.pieces[0] else None)

    def _piece(self, op: Assemble, piece: Piece, fill: Fill | None) -> Step:
        x, (sy, sx) = self._strides(piece.tensor), piece.stride
        plain = piece.multiplier == 1.0 and piece.tensor.zero == op.output.zero and op.clip == Clip()
        kernel = CopyKernel(
            self.isa,
            op.output.height,
            op.output.width,
            piece.tensor.channels,
            Strides(x.row * sy, x.pixel * sx),
            self._strides(op.output),
            plain and piece.affine is None,
            limits(piece, op.output, op.clip),
            0 if piece.affine is None else stored_channels(piece.tensor.channels),
        )
        bias, multiplier = np.array([-self._stored(piece.tensor.zero)]), np.array([piece.multiplier])
        w = 0
        if piece.affine is not None:
            room = stored_channels(piece.tensor.channels) - piece.tensor.channels
            multiplier = np.pad(piece.affine.multiplier, (0, room))
            bias = np.full(len(multiplier), bias[0])
            w = self.blob.add(np.pad(piece.affine.offset, (0, room)))
        return Step(
            op.node,
            kernel,
            x=self._address(piece.tensor),
            w=w,
            p=self._parameters(bias, multiplier, op.output, op.clip, None),
            y=self._address(op.output) + piece.channel,
            fill=fill,
        )

    def _dequantise(self, op: Dequantise) -> Step:
        layout = self.layouts[op.input.name]
        height, width = op.input.height, op.input.width
        kernel = DequantiseKernel(self.isa, height, width, op.input.channels, layout.strides, op.real)
        numbers = np.array([-self._stored(op.input.zero), 0], np.int32)
        numbers[1] = np.float32(op.scale).view(np.int32)
        x = self.arena.offsets[op.input.name] if op.real else self._address(op.input)
        p, y = self.blob.add(numbers), self.arena.offsets[op.output.name]
        return Step(f"{op.node} to float", kernel, x=x, p=p, y=y, int8=False)

    def _quantise(self, op: Quantise) -> Step:
        y = self.layouts[op.output.name]
        kernel = QuantiseKernel(self.isa, y.height, y.width, op.output.channels, y.strides)
        numbers = np.array([self._stored(op.output.zero), 0], np.int32)
        numbers[1] = np.float32(op.scale).view(np.int32)
        return Step(
            op.node,
            kernel,
            x=self.arena.offsets[op.input.name],
            p=self.blob.add(numbers),
            y=self._address(op.output),
            fill=self._fill(op.output),
            int8=False,
        )

    def _island(self, op: Island) -> Iterator[Step]:
        from targets.tvm.floats.relax import program

        island = program(op)
        symbols = {name: f"edgec_float_{len(self.floats) + i}" for i, name in enumerate(island.functions)}
        self.floats |= {symbols[name]: function for name, function in island.functions.items()}
        where = {name: Pointer(Base.CONSTANTS, self.blob.add(v)) for name, v in island.constants.items()}
        where[self.pixels] = Pointer(Base.IMAGE, 0)
        for dense in (*op.inputs, *op.outputs):
            if dense.name != self.pixels:
                where[dense.name] = Pointer(Base.ARENA, self.arena.offsets[dense.name])
        for buffer in island.buffers:
            where[buffer.name] = Pointer(Base.ARENA, self.arena.offsets[_inside(op, buffer.name)])
        for call in island.calls:
            pointers = tuple(where[name] for name in call.arguments)
            kernel = FloatCall(symbols[call.function], pointers)
            yield Step(f"{op.node}: {call.function}", kernel, x=IMAGE, y=0, int8=False)


def _inside(island: Island, buffer: str) -> str:
    """The name of an island's buffer in the arena."""
    return f"{island.outputs[0].name} / {buffer}"


def _pairs(op: Conv) -> str:
    """The name of a convolution's pairs of rows in the arena."""
    return f"{op.node} / pairs"


def _lifetimes(
    graph: Graph, found: dict[str, Layout], geometries: dict[str, ConvGeometry]
) -> Iterator[Lifetime]:
    """Tensors live from the operator that writes them to the last that reads them, or to one more."""
    last = {tensor.name: i for i, op in enumerate(graph.operators) for tensor in inputs(op)}
    last[graph.logits.name] = len(graph.operators)
    for i, op in enumerate(graph.operators):
        for tensor in outputs(op):
            size = _size(op, tensor, found)
            yield Lifetime(tensor.name, size, i, last.get(tensor.name, i) + (size <= _SMALL))
        if isinstance(op, Island):
            yield from _buffers(op, i)
        if isinstance(op, Conv) and (pairs := geometries[op.node].pairs):
            yield Lifetime(_pairs(op), pairs.size, i, i + (pairs.size <= _SMALL))


def _buffers(op: Island, position: int) -> Iterator[Lifetime]:
    from targets.tvm.floats.relax import program

    for buffer in program(op).buffers:
        yield Lifetime(_inside(op, buffer.name), buffer.size, position, position)


def _size(op: Operator, tensor: Tensor | Dense, found: dict[str, Layout]) -> int:
    if isinstance(tensor, Dense):
        return tensor.size
    return (_FLOAT if isinstance(op, Conv) and op.real else 1) * found[tensor.name].size
