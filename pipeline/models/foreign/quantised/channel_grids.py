"""Writes activations with a scale for each channel, in front of depthwise convolutions, with one scale.

A depthwise convolution sums over one channel alone, so that each may have its own step (NNCF writes that).
The input of the rounding is divided by the steps, in the scales of the layer in front if there is one. The
weights behind are multiplied by the steps. The integers stay the same.
"""

from collections import Counter
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.replaced_nodes import replace_nodes

Array = NDArray[Any]


def write_one_scale(model: onnx.ModelProto) -> None:
    """Rewrite such activations in place; others stay as they are, and are refused later."""
    writer = _ChannelGridWriter(model)
    for node in list(model.graph.node):
        if node.op_type == "QuantizeLinear":
            writer.look_at(node)
    replace_nodes(model.graph, writer.made)


class _ChannelGridWriter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.readers = Counter(name for node in model.graph.node for name in node.input)
        self.reading = readers_by_tensor(model.graph)
        self.made: dict[str, list[onnx.NodeProto]] = {}

    def look_at(self, quantize: onnx.NodeProto) -> None:
        """Rewrite a QuantizeLinear that has several scales, if only depthwise convolutions read it."""
        known = [self._value(name) for name in quantize.input[1:3]]
        if quantize.input[0] in self.constants or len(known) < 2 or any(value is None for value in known):
            return
        scale, zero = (np.asarray(value) for value in known)
        several = scale.size > 1 and len(np.unique(scale)) > 1 and len(np.unique(zero)) == 1
        if not several or attribute(quantize, "axis", 1) != 1 or not (scale > 0).all():
            return
        dequantized = self.reading[quantize.output[0]]
        convolutions = [node for one in dequantized for node in self.reading[one.output[0]]]
        weights = [self._weights(node, scale.size) for node in convolutions]
        same = all(list(one.input[1:3]) == list(quantize.input[1:3]) for one in dequantized)
        if not convolutions or not same or any(one is None for one in weights):
            return
        name = quantize.output[0]
        one = self._constant(f"{name}/one", np.array(1, np.float32))
        point = self._constant(f"{name}/one_zero_point", zero.ravel()[0].reshape(()))
        for node in (quantize, *dequantized):
            node.input[1:] = [one, point]
            kept = [a for a in node.attribute if a.name != "axis"]
            del node.attribute[:]
            node.attribute.extend(kept)
        for node in (one for one in weights if one is not None):
            self._multiply(node, scale)
        self._divide(quantize, scale, int(np.iinfo(zero.dtype).max) - int(zero.ravel()[0]))

    def _weights(self, node: onnx.NodeProto, channels: int) -> onnx.NodeProto | None:
        """Return the DequantizeLinear of a depthwise convolution's weights, which nothing else reads."""
        dequantize = self.producers.get(node.input[1]) if node.op_type == "Conv" else None
        if dequantize is None or dequantize.op_type != "DequantizeLinear":
            return None
        alone = self.readers[node.input[1]] == 1 and attribute(node, "group", 1) == channels
        along = attribute(dequantize, "axis", 1) == 0 or self._size(dequantize.input[1]) == 1
        return dequantize if alone and along else None

    def _multiply(self, dequantize: onnx.NodeProto, steps: Array) -> None:
        """Multiply the scales of weights with the steps of the channels that they read."""
        kernels = self._first_side(dequantize.input[0])
        old = np.broadcast_to(np.asarray(self._value(dequantize.input[1])).ravel(), kernels)
        name = dequantize.output[0]
        scale = (old.astype(np.float64) * steps.ravel().repeat(kernels // steps.size)).astype(np.float32)
        dequantize.input[1] = self._constant(f"{name}/scale_and_step", scale)
        if len(dequantize.input) > 2 and dequantize.input[2]:
            zero = np.broadcast_to(np.asarray(self._value(dequantize.input[2])).ravel(), kernels).copy()
            dequantize.input[2] = self._constant(f"{name}/zero_points", zero)
        kept = [a for a in dequantize.attribute if a.name != "axis"]
        del dequantize.attribute[:]
        dequantize.attribute.extend([*kept, helper.make_attribute("axis", 0)])

    def _divide(self, quantize: onnx.NodeProto, steps: Array, most: int) -> None:
        """Divide what is rounded by the steps: in front of a Relu, or of a Clip that rounding does anyway.

        most: how many steps the largest number on the grid is.
        """
        reader = quantize
        before = self.producers.get(quantize.input[0])
        if before is not None and self.readers[quantize.input[0]] == 1 and self._is_relu(before, steps, most):
            before.op_type = "Relu"
            del before.input[1:]
            reader = before
        name = f"{quantize.output[0]}/in_steps"
        each = self._constant(
            f"{name}/each", (1 / steps.astype(np.float64)).astype(np.float32).reshape(1, -1, 1, 1)
        )
        product = helper.make_node("Mul", [reader.input[0], each], [name], name)
        self.made[reader.output[0]] = [product, reader]
        reader.input[0] = name

    def _is_relu(self, node: onnx.NodeProto, steps: Array, most: int) -> bool:
        """Whether it is a Relu, or a Clip from 0 to where the grid of each channel ends, or further."""
        if node.op_type == "Relu":
            return True
        bounds = [self._value(name) for name in node.input[1:]]
        if node.op_type != "Clip" or len(bounds) != 2 or any(bound is None for bound in bounds):
            return False
        low, high = (float(np.asarray(bound).item()) for bound in bounds)
        return low == 0 and bool((np.rint(high / steps) >= most).all())

    def _value(self, name: str) -> Array | None:
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def _size(self, name: str) -> int:
        value = self._value(name)
        return 0 if value is None else value.size

    def _first_side(self, name: str) -> int:
        """Return how many kernels weights have, stored as integers or as what a QuantizeLinear rounds."""
        while name not in self.constants:
            name = self.producers[name].input[0]
        return int(self.constants[name].dims[0])

    def _constant(self, name: str, value: Array) -> str:
        tensor = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        self.graph.initializer.append(tensor)
        self.constants[name] = tensor
        return name
