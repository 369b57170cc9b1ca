"""From the Q/DQ ONNX to the integer graph, with islands of float operators where there is no integer form."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from targets.errors import EngineError, NoIntegerForm
from targets.tvm import convert, joins, pools
from targets.tvm.bounded_read import array, attributes, fold, label, read_model
from targets.tvm.integer_graph import (
    Conv,
    Dense,
    Dequantise,
    Graph,
    Image,
    Island,
    Operator,
    Quantise,
    Residual,
    Tensor,
    inputs,
    outputs,
)
from targets.tvm.islands import Draft, Shapes
from targets.tvm.values import (
    Constant,
    Epilogue,
    Pending,
    Quantized,
    Raw,
    Real,
    Value,
    Weights,
    quantization_clip,
)

Array = NDArray[Any]

_LARGEST_IMAGE = 1 << 26


def import_graph(path: Path) -> Graph:
    """Read the Q/DQ ONNX at `path`. Raises EngineError naming the node that cannot be compiled."""
    return _Importer(read_model(path)).run()


class _Importer:
    """Walks the nodes in order and keeps what each tensor stands for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.operators: list[Operator | Draft] = []
        self.values: dict[str, Value] = {i.name: Constant(array(i)) for i in model.graph.initializer}
        self.image = self._image()
        self.finished: dict[tuple[int, float, int], Quantized] = {}
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.floats: dict[str, Dense] = {}
        self.island: Draft | None = None

    @cached_property
    def shapes(self) -> Shapes:
        """Only float operators need them."""
        return Shapes(self.model)

    def run(self) -> Graph:
        for node in self.model.graph.node:
            self._node(node)
        if len(self.model.graph.output) != 1:
            raise EngineError(
                f"The model has {len(self.model.graph.output)} outputs; it needs one, the logits."
            )
        logits = self._logits(self.model.graph.output[0].name)
        wanted = {logits.name} | {
            t.name for op in self.operators if not isinstance(op, Draft) for t in inputs(op)
        }
        wanted |= {t.name for op in self.operators if isinstance(op, Draft) for t in op.reads.values()}
        operators = tuple(
            op.finish(wanted, self.model) if isinstance(op, Draft) else op for op in self.operators
        )
        for op in operators:
            if isinstance(op, Island):
                from targets.tvm.floats.relax import program

                program(op)  # now, so that a node that cannot be compiled is an error here
        image = next((op.output for op in operators if isinstance(op, Image)), self.image)
        return Graph(operators, image, logits, self.pixels)

    def _logits(self, name: str) -> Tensor | Dense:
        match self.values.get(name):
            case Pending(real=real, shape=(1, 1, _)) if real is not None:
                return self._sums(real, name).output
            case None | Constant() | Weights():
                raise EngineError("The model's output does not depend on the image.")
        dense = self._as_float(name)
        if dense.dtype != "float32":
            raise EngineError(f"The model's output is {dense.dtype}; it has to be float32, the logits.")
        return dense

    def _image(self) -> Tensor:
        names = {i.name for i in self.model.graph.initializer}
        inputs = [i for i in self.model.graph.input if i.name not in names]
        if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8:
            raise EngineError("The model needs exactly one input, the image as uint8 [N, H, W, C].")
        size = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim][1:]
        if len(size) != 3 or not all(d > 0 for d in size) or np.prod(size, dtype=object) > _LARGEST_IMAGE:
            raise EngineError(
                f"The image has shape [N, {', '.join(map(str, size))}]; H, W and C have to be known."
            )
        tensor = Tensor(f"{inputs[0].name} in the arena", size[0], size[1], size[2], (0,))
        self.pixels = inputs[0].name
        self.values[self.pixels] = Raw(None)
        return tensor

    def _append(self, operator: Operator) -> None:
        """Add an operator; what it reads has to be complete."""
        if self.island is not None and any(t.name in self.island.writes for t in inputs(operator)):
            self._close()
        # Before the island that is still open: it reads nothing that comes later.
        at = len(self.operators) - (self.island is not None)
        self.operators.insert(at, operator)

    def _close(self) -> None:
        self.island = None

    def _node(self, node: onnx.NodeProto) -> None:
        constants = {name: v.value for name in node.input if isinstance(v := self.values.get(name), Constant)}
        folded = self._shape(node) if node.op_type == "Shape" else fold(node, constants)
        if folded is not None:
            self.values[node.output[0]] = Constant(folded)
            return
        if node.domain not in ("", "ai.onnx"):
            raise EngineError(f"{label(node)} is no standard operator but one of {node.domain!r}.")
        operands = [self.values[name] for name in node.input if name]
        try:
            self.values[node.output[0]] = self._integer(node, operands)
        except NoIntegerForm as reason:
            self._float(node, reason)
            self.values |= {name: Real(self.floats[name]) for name in node.output if name}

    def _integer(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        if node.op_type in _LAYERS:
            return _LAYERS[node.op_type](label(node), operands, attributes(node))
        if node.op_type in _BOUNDARIES:
            return self._boundary(node, operands)
        return self._copied(node, operands)

    def _shape(self, node: onnx.NodeProto) -> Array:
        """A Shape node's value: shapes are known, and the batch is one image."""
        sizes = np.array(self.shapes.find(node.input[0], node).shape, np.int64)
        limits = attributes(node)
        return sizes[limits.get("start", 0) : limits.get("end", len(sizes))]

    def _float(self, node: onnx.NodeProto, reason: NoIntegerForm) -> None:
        """Let the node join the open island, or begin one. Raises EngineError if it cannot run in float."""
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise EngineError(f"{reason} It cannot run in float either: it is control flow.")
        operands = {name: self._operand(name) for name in node.input if name}
        if self.island is None:
            self.island = Draft()
            self.operators.append(self.island)
        results = [self.shapes.find(name, node) for name in node.output if name]
        self.island.add(node, operands, results)
        self.floats |= {dense.name: dense for dense in results}

    def _operand(self, name: str) -> Dense | Array:
        match self.values[name]:
            case Constant(value):
                return value
            case Weights(values, scales):
                each = scales.reshape(-1, *[1] * (values.ndim - 1))
                return (values * each.astype(np.float32)).astype(np.float32)
        return self._as_float(name)

    def _as_float(self, name: str) -> Dense:
        """The tensor `name` of the ONNX graph in float, computed where integers cannot give it."""
        if name not in self.floats:
            self.floats[name] = self._made_float(name)
        return self.floats[name]

    def _made_float(self, name: str) -> Dense:
        match self.values[name]:
            case Raw(None) if name == self.pixels:
                size = (1, self.image.height, self.image.width, self.image.channels)
                return Dense(name, size, "uint8")
            case Quantized(tensor, scale, stride=(1, 1)) as x:
                return self._dequantise(Dequantise(name, tensor, _planes(name, x.shape, x.flat), scale))
            case Pending(real=real) as p if real is not None:
                sums = self._sums(real, name).output
                dense = _planes(name, p.shape, p.flat)
                return self._dequantise(Dequantise(name, sums, dense, 1.0, real=True))
        node = self.producers[name]
        self._float(node, NoIntegerForm(f"{label(node)} is read in float."))
        return self.floats[name]

    def _sums(self, real: Conv, name: str) -> Conv:
        """Append the operator that writes a convolution's sums as numbers, for the tensor `name`."""
        named = replace(real, output=replace(real.output, name=f"{name} sums"))
        self._append(named)
        return named

    def _dequantise(self, operator: Dequantise) -> Dense:
        self._append(operator)
        return operator.output

    def _boundary(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        """Where integers become numbers or numbers integers."""
        match node.op_type, operands:
            case "Transpose", [Raw(None)] if list(attributes(node).get("perm", [])) == [0, 3, 1, 2]:
                return Raw(None)
            case "DequantizeLinear", [Raw(None), Constant(scale), Constant(zero)]:
                return self._dequantize_image(node, scale, zero)
            case "DequantizeLinear", [Raw(Quantized() as quantized), *_]:
                return quantized
            case "DequantizeLinear", [Constant(values), Constant(scale), *zero]:
                return convert.constant(label(node), values, scale, zero, attributes(node))
            case "QuantizeLinear", [Pending() | Quantized() as source, Constant(scale), Constant(zero)]:
                return Raw(self._quantize(node, source, scale, zero))
            case "QuantizeLinear", [Real(dense), Constant(scale), Constant(zero)] if len(dense.shape) in (
                2,
                4,
            ):
                return Raw(self._quantize_real(node, dense, scale, zero))
        raise _no_integer_form(node, operands)

    def _copied(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        """Operators that keep the grid, and so need no QuantizeLinear behind them."""
        name = f"{node.output[0]} in integers"  # the graph's name is that of the same tensor in floats
        match node.op_type, operands:
            case "Pad", [Quantized() as source, Constant(pads), *fill]:
                operator: Operator = joins.pad_channels(
                    label(node), source, pads, fill, attributes(node), name
                )
            case "MaxPool", [Quantized() as source]:
                operator = pools.max_pool(label(node), source, attributes(node), name)
            case _:
                raise _no_integer_form(node, operands)
        self._append(operator)
        return Quantized(_grid(operator), source.scale)

    def _dequantize_image(self, node: onnx.NodeProto, scale: Array, zero: Array) -> Quantized:
        image = self.image
        scales, zeros = np.unique(scale), np.atleast_1d(zero)
        if len(scales) != 1 or zeros.dtype != np.uint8 or zeros.size not in (1, image.channels):
            raise EngineError(
                f"{label(node)}: the image needs one scale, and uint8 zero points for its channels."
            )
        points = tuple(int(z) for z in np.broadcast_to(zeros, image.channels))
        tensor = replace(image, zero_point=points)
        if any(isinstance(op, Image) for op in self.operators):
            raise EngineError(f"{label(node)}: the image is dequantised twice.")
        self._append(Image(tensor))
        return Quantized(tensor, convert.positive(label(node), scales[0]))

    def _quantize(
        self, node: onnx.NodeProto, source: Pending | Quantized, scale: Array, zero: Array
    ) -> Quantized:
        step, point = _grid_of(node, scale, zero)
        if isinstance(source, Quantized):
            if source.scale == step and source.tensor.zero_point == (point,):
                return source
            source = convert.copied(label(node), source)
        key = (id(source), step, point)
        if key not in self.finished:
            height, width, channels = source.shape
            output = Tensor(node.output[0], height, width, channels, (point,))
            other = source.residual
            residual = (
                None
                if other is None
                else Residual(other.whole(source.node), float(np.float32(other.scale / step)))
            )
            clip = quantization_clip(source, step, point)
            end = Epilogue(output, step, clip, residual, source.gain, source.shift)
            self._append(source.finish(end))
            self.finished[key] = Quantized(output, step, flat=source.flat)
            self.values[f"{node.output[0]} (source)"] = source  # keeps id() unique
        return self.finished[key]

    def _quantize_real(self, node: onnx.NodeProto, dense: Dense, scale: Array, zero: Array) -> Quantized:
        step, point = _grid_of(node, scale, zero)
        channels, height, width = (*dense.shape[1:], 1, 1)[:3]
        output = Tensor(node.output[0], height, width, channels, (point,))
        self._append(Quantise(label(node), dense, output, step))
        return Quantized(output, step, flat=len(dense.shape) == 2)


def _grid_of(node: onnx.NodeProto, scale: Array, zero: Array) -> tuple[float, int]:
    """The step, and the zero point as stored, of a QuantizeLinear. Raises EngineError."""
    if scale.size != 1 or zero.size != 1 or zero.dtype not in (np.uint8, np.int8):
        raise EngineError(f"{label(node)}: activations need one scale and one zero point of uint8 or int8.")
    step = convert.positive(label(node), scale.item())
    return step, int(zero.item()) + (128 if zero.dtype == np.int8 else 0)


def _planes(name: str, shape: tuple[int, int, int], flat: bool) -> Dense:
    height, width, channels = shape
    return Dense(name, (1, height * width * channels) if flat else (1, channels, height, width))


def _grid(operator: Operator) -> Tensor:
    (output,) = outputs(operator)
    assert isinstance(output, Tensor)  # noqa: S101 -- only islands and Dequantise give anything else
    return output


def _no_integer_form(node: onnx.NodeProto, operands: list[Value]) -> NoIntegerForm:
    kinds = ", ".join(type(value).__name__.lower() for value in operands)
    return NoIntegerForm(f"{label(node)} has no integer form for its inputs ({kinds}).")


_BOUNDARIES = frozenset({"Transpose", "QuantizeLinear", "DequantizeLinear"})

_LAYERS: dict[str, Callable[[str, list[Value], dict[str, Any]], Value]] = {
    "Conv": convert.conv,
    "Gemm": convert.gemm,
    "Add": convert.add,
    "Relu": convert.relu,
    "Clip": convert.clip,
    "BatchNormalization": joins.batch_normalization,
    "Concat": joins.concat,
    "Slice": joins.strided_slice,
    "AveragePool": pools.average_pool,
    "GlobalAveragePool": pools.global_average_pool,
    "ReduceMean": pools.reduce_mean,
    "Flatten": joins.flatten,
    "Reshape": joins.reshape,
    "Squeeze": joins.squeeze,
    "Identity": joins.identity,
    "Dropout": joins.identity,
}
"""Operators that become part of the integer graph when a QuantizeLinear or the output asks for them."""
