"""Rewrites the experimental operators that ONNX removed after opset 8.

Converters from Core ML and Caffe2 write them. They are defined in onnx/defs/experiments/defs.cc of ONNX 1.4,
and onnxruntime still runs them.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute

LAST = 8
"""The last opset of ONNX that had them."""


def set_early_operators_apart(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """Replace each by an Identity, which every opset has; return the operators by the name of their output.

    `model` is modified.
    """
    if model.opset_import[0].version > LAST:
        return {}
    apart = {}
    for node in model.graph.node:
        if node.domain == "" and node.op_type in WRITTEN:
            apart[node.output[0]] = onnx.NodeProto.FromString(node.SerializeToString())
            node.op_type = "Identity"
            del node.attribute[:]
            del node.input[1:]
    return apart


def write_early_operators(model: onnx.ModelProto, apart: dict[str, onnx.NodeProto]) -> None:
    """Write the standard operators of opset 17 in the places that `set_early_operators_apart` kept free."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        early = apart.get(node.output[0]) if node.op_type == "Identity" else None
        nodes += [node] if early is None else _Standard(model, early, node.input[0]).nodes()
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class _Standard:
    """Standard operators for one node."""

    def __init__(self, model: onnx.ModelProto, node: onnx.NodeProto, source: str) -> None:
        self.model, self.node, self.source = model, node, source
        self.made: list[onnx.NodeProto] = []

    def nodes(self) -> list[onnx.NodeProto]:
        WRITTEN[self.node.op_type](self)
        self.made[-1].output[0] = self.node.output[0]
        return self.made

    def number(self, name: str, default: float) -> float:
        return float(attribute(self.node, name, default))

    def add(self, operator: str, *operands: str | NDArray[np.generic]) -> str:
        inputs = [one if isinstance(one, str) else self.constant(one) for one in operands]
        output = f"{self.node.output[0]}/early{len(self.made)}"
        self.made.append(helper.make_node(operator, inputs, [output]))
        return output

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"{self.node.output[0]}/early_constant{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def scaled(self, source: str, factor: float) -> str:
        return self.add("Mul", source, np.array(factor, np.float32))

    def image_scaler(self) -> None:
        """Core ML's preprocessing: x * scale + bias of the channel."""
        bias = np.array(attribute(self.node, "bias", []), np.float32).reshape(-1, 1, 1)
        self.add("Add", self.scaled(self.source, self.number("scale", 1.0)), bias)

    def affine(self) -> None:
        shift = np.array(self.number("beta", 0.0), np.float32)
        self.add("Add", self.scaled(self.source, self.number("alpha", 1.0)), shift)

    def scale(self) -> None:
        self.scaled(self.source, self.number("scale", 1.0))

    def scaled_tanh(self) -> None:
        inner = self.add("Tanh", self.scaled(self.source, self.number("beta", 1.0)))
        self.scaled(inner, self.number("alpha", 1.0))

    def parametric_softplus(self) -> None:
        inner = self.add("Softplus", self.scaled(self.source, self.number("beta", 1.0)))
        self.scaled(inner, self.number("alpha", 1.0))

    def crop(self) -> None:
        """border: what is cut off at the left, top, right and bottom; or with scale, what is left over."""
        left, top, right, bottom = attribute(self.node, "border", [0, 0, 0, 0])
        size = list(attribute(self.node, "scale", []))
        ends = [top + size[0], left + size[1]] if size else [-bottom or FAR, -right or FAR]
        self.add("Slice", self.source, np.array([top, left]), np.array(ends), np.array([2, 3]))


FAR = 1 << 40
WRITTEN = {
    "ImageScaler": _Standard.image_scaler,
    "Affine": _Standard.affine,
    "Scale": _Standard.scale,
    "ScaledTanh": _Standard.scaled_tanh,
    "ParametricSoftplus": _Standard.parametric_softplus,
    "Crop": _Standard.crop,
}
