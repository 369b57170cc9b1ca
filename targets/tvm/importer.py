"""From the Q/DQ ONNX to the integer graph."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.tvm import layers
from targets.tvm.graph import Graph, Image, Operator, Residual, Tensor
from targets.tvm.read import array, attributes, fold, label, read_model
from targets.tvm.values import Constant, Pending, Quantized, Raw, Value, quantization_clip

Array = NDArray[Any]

_LARGEST_IMAGE = 1 << 26


def import_graph(path: Path) -> Graph:
    """Read the Q/DQ ONNX at `path`. Raises EngineError naming the node that has no integer form."""
    model = read_model(path)
    return _Importer(model).run()


class _Importer:
    """Walks the nodes in order and keeps what each tensor stands for."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.operators: list[Operator] = []
        self.values: dict[str, Value] = {i.name: Constant(array(i)) for i in model.graph.initializer}
        self.image = self._image()
        self.finished: dict[tuple[int, float, int], Quantized] = {}

    def run(self) -> Graph:
        for node in self.model.graph.node:
            self._node(node)
        if len(self.model.graph.output) != 1:
            raise EngineError(
                f"The model has {len(self.model.graph.output)} outputs; it needs one, the logits."
            )
        result = self.values.get(self.model.graph.output[0].name)
        if not isinstance(result, Pending) or result.logits is None:
            raise EngineError("The model's output has to come from a Gemm with int8 weights and input.")
        return Graph((*self.operators, result.logits), result.shape[2])

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
        tensor = Tensor(inputs[0].name, size[0], size[1], size[2], (0,))
        self.values[inputs[0].name] = Raw(None)
        return tensor

    def _node(self, node: onnx.NodeProto) -> None:
        constants = {name: v.value for name in node.input if isinstance(v := self.values.get(name), Constant)}
        folded = fold(node, constants)
        if folded is not None:
            self.values[node.output[0]] = Constant(folded)
            return
        operands = [self.values[name] for name in node.input if name]
        if node.op_type in _LAYERS:
            result = _LAYERS[node.op_type](label(node), operands, attributes(node))
        else:
            result = (
                self._boundary(node, operands)
                if node.op_type in _BOUNDARIES
                else self._copied(node, operands)
            )
        self.values[node.output[0]] = result

    def _boundary(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        """Where integers become numbers or numbers integers."""
        match node.op_type, operands:
            case "Transpose", [Raw(None)]:
                if list(attributes(node).get("perm", [])) != [0, 3, 1, 2]:
                    raise EngineError(f"{label(node)}: the image is NHWC and has to become NCHW.")
                return Raw(None)
            case "DequantizeLinear", [Raw(None), Constant(scale), Constant(zero)]:
                return self._dequantize_image(node, scale, zero)
            case "DequantizeLinear", [Raw(Quantized() as quantized), *_]:
                return quantized
            case "DequantizeLinear", [Constant(values), Constant(scale), *zero]:
                return layers.weights(label(node), values, scale, zero, attributes(node))
            case "QuantizeLinear", [Pending() | Quantized() as source, Constant(scale), Constant(zero)]:
                return Raw(self._quantize(node, source, scale, zero))
        raise _no_integer_form(node, operands)

    def _copied(self, node: onnx.NodeProto, operands: list[Value]) -> Value:
        """Operators that keep the grid, and so need no QuantizeLinear behind them."""
        match node.op_type, operands:
            case "Pad", [Quantized() as source, Constant(pads), *fill]:
                operator: Operator = layers.pad_channels(
                    label(node), source, pads, fill, attributes(node), node.output[0]
                )
            case "MaxPool", [Quantized() as source]:
                operator = layers.max_pool(label(node), source, attributes(node), node.output[0])
            case _:
                raise _no_integer_form(node, operands)
        self.operators.append(operator)
        return Quantized(operator.output, source.scale)

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
        self.operators.append(Image(tensor))
        return Quantized(tensor, layers.positive(label(node), scales[0]))

    def _quantize(
        self, node: onnx.NodeProto, source: Pending | Quantized, scale: Array, zero: Array
    ) -> Quantized:
        if scale.size != 1 or zero.size != 1 or zero.dtype not in (np.uint8, np.int8):
            raise EngineError(
                f"{label(node)}: activations need one scale and one zero point of uint8 or int8."
            )
        step = layers.positive(label(node), scale.item())
        point = int(zero.item()) + (128 if zero.dtype == np.int8 else 0)
        if isinstance(source, Quantized):
            if source.scale == step and source.tensor.zero_point == (point,):
                return source
            source = layers.requantize(label(node), source)
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
            self.operators.append(
                source.finish(output, step, quantization_clip(source, step, point), residual)
            )
            self.finished[key] = Quantized(output, step, flat=source.flat)
            self.values[f"{node.output[0]} (source)"] = source  # keeps id() unique
        return self.finished[key]


def _no_integer_form(node: onnx.NodeProto, operands: list[Value]) -> EngineError:
    kinds = ", ".join(type(value).__name__.lower() for value in operands)
    return EngineError(
        f"{label(node)} has no integer form for its inputs ({kinds}). Quantise its inputs, or replace it."
    )


_BOUNDARIES = frozenset({"Transpose", "QuantizeLinear", "DequantizeLinear"})

_LAYERS: dict[str, Callable[[str, list[Value], dict[str, Any]], Value]] = {
    "Conv": layers.conv,
    "Gemm": layers.gemm,
    "Add": layers.add,
    "Relu": layers.relu,
    "Clip": layers.clip,
    "Concat": layers.concat,
    "Slice": layers.strided_slice,
    "AveragePool": layers.average_pool,
    "GlobalAveragePool": layers.global_average_pool,
    "ReduceMean": layers.reduce_mean,
    "Flatten": layers.flatten,
    "Reshape": layers.flatten,
    "Squeeze": layers.flatten,
    "Identity": layers.identity,
    "Dropout": layers.identity,
}
"""Operators that become part of the integer graph when a QuantizeLinear or the output asks for them."""
