"""The real-valued network inside an ONNX graph: without its quantisers, with its weights as floats.

Two forms of one network, float and quantised, have the same real-valued network up to rounding. What the
quantisers do to each tensor is kept beside it as a `TensorGrid`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Array = NDArray[Any]
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators with weights."""


@dataclass(frozen=True)
class TensorGrid:
    """A tensor that is rounded to integers and back. Scales and zero points: one, or one a channel."""

    written: str
    """The tensor in front of QuantizeLinear."""
    read: str
    """The tensor behind DequantizeLinear."""
    scale: Array
    zero_point: Array
    read_scale: Array
    read_zero_point: Array

    @property
    def limits(self) -> tuple[Array, Array]:
        """Return the least and the largest real value that the grid has."""
        kind = np.iinfo(self.zero_point.dtype)
        scale, zero = self.scale.astype(np.float64), self.zero_point.astype(np.float64)
        return (kind.min - zero) * scale, (kind.max - zero) * scale

    def rounds_as(self, other: "TensorGrid") -> bool:
        """Whether it gives the values that another grid gives, whatever tensors they are of."""
        return all(
            mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
            for mine, theirs in (
                (self.scale, other.scale),
                (self.zero_point, other.zero_point),
                (self.read_scale, other.read_scale),
                (self.read_zero_point, other.read_zero_point),
            )
        )


@dataclass(frozen=True)
class RealNode:
    """A node of the real-valued network."""

    proto: onnx.NodeProto
    inputs: tuple[str, ...]
    """Tensors of the real-valued network: quantisers are looked through."""
    reads: tuple[str, ...]
    """The tensors of the graph that the node really reads."""

    @property
    def operator(self) -> str:
        """Return the operator's name."""
        return str(self.proto.op_type)

    @property
    def output(self) -> str:
        """Return the first output."""
        return str(self.proto.output[0])


@dataclass(frozen=True)
class RealGraph:
    """The real-valued network of an ONNX model."""

    model: onnx.ModelProto
    nodes: tuple[RealNode, ...]
    constants: Mapping[str, Array]
    all_grids: Mapping[str, tuple[TensorGrid, ...]]
    """By the tensor that is rounded. A tensor may have one for each of its readers."""
    weight_steps: Mapping[str, Array]
    """The scales of weights that are stored as integers, by the tensor that is read."""

    @property
    def input(self) -> str:
        """Return the name of the input."""
        return str(next(one.name for one in self.model.graph.input if one.name not in self.constants))

    @property
    def output(self) -> str:
        """Return the name of the first output."""
        return str(self.model.graph.output[0].name)

    @cached_property
    def grids(self) -> Mapping[str, TensorGrid]:
        """The first grid of each tensor that is rounded."""
        return {tensor: found[0] for tensor, found in self.all_grids.items()}

    def producer(self, tensor: str) -> RealNode | None:
        """Return the node that computes a tensor."""
        return self._producers.get(tensor)

    @cached_property
    def behind_layer(self) -> frozenset[str]:
        """Tensors that a layer with weights, or what reads one, has computed."""
        behind: set[str] = set()
        for node in self.nodes:
            if node.operator in LAYERS or behind & set(node.inputs):
                behind.update(node.proto.output)
        return frozenset(behind)

    @cached_property
    def _producers(self) -> dict[str, RealNode]:
        return {name: node for node in self.nodes for name in node.proto.output}


def read_real_graph(model: onnx.ModelProto) -> RealGraph:
    """Return the real-valued network of a float or Q/DQ model."""
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    stands_for: dict[str, str] = {}
    grids: dict[str, tuple[TensorGrid, ...]] = {}
    steps: dict[str, Array] = {}
    quantised: dict[str, onnx.NodeProto] = {}
    nodes: list[RealNode] = []
    for node in model.graph.node:
        if node.op_type == "Constant" and (value := _constant(node)) is not None:
            constants[node.output[0]] = value
        elif all(name in constants for name in node.input if name) and _is_pure(node):
            if node.op_type == "DequantizeLinear":
                steps[node.output[0]] = constants[node.input[1]]
            constants.update(
                zip(node.output, evaluate_nodes(model, [node], constants, tuple(node.output)), strict=True)
            )
        elif node.op_type == "QuantizeLinear":
            quantised[node.output[0]] = node
            stands_for[node.output[0]] = stands_for.get(node.input[0], node.input[0])
        elif node.op_type == "DequantizeLinear" and node.input[0] in quantised:
            grid = _grid(quantised[node.input[0]], node, constants)
            tensor = stands_for[node.input[0]]
            stands_for[node.output[0]] = tensor
            grids[tensor] = (*grids.get(tensor, ()), grid)
        else:
            nodes.append(
                RealNode(node, tuple(stands_for.get(name, name) for name in node.input), tuple(node.input))
            )
    return RealGraph(model, tuple(nodes), constants, grids, steps)


def _constant(node: onnx.NodeProto) -> Array | None:
    """Return the value of a Constant node that holds a tensor."""
    found = next((one.t for one in node.attribute if one.name == "value"), None)
    return None if found is None else numpy_helper.to_array(found)


def _is_pure(node: onnx.NodeProto) -> bool:
    return not node.op_type.startswith("Random") and not any(
        attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        for attribute in node.attribute
    )


def _grid(quantise: onnx.NodeProto, dequantise: onnx.NodeProto, constants: Mapping[str, Array]) -> TensorGrid:
    def numbers(node: onnx.NodeProto) -> tuple[Array, Array]:
        scale = constants[node.input[1]]
        named = len(node.input) > 2 and node.input[2]
        return scale, constants[node.input[2]] if named else np.zeros(scale.shape, np.uint8)

    scale, zero = numbers(quantise)
    read_scale, read_zero = numbers(dequantise)
    return TensorGrid(quantise.input[0], dequantise.output[0], scale, zero, read_scale, read_zero)


def evaluate_nodes(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    values: Mapping[str, Array],
    wanted: tuple[str, ...],
) -> list[Array]:
    """Compute a few nodes of a model from the values of the tensors that they read."""
    from calibration.exact.session import ALL_CORES, AS_WRITTEN, open_session

    made = {name for node in nodes for name in node.output}
    read = dict.fromkeys(name for node in nodes for name in node.input if name and name not in made)
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(values[name].dtype), values[name].shape
        )
        for name in read
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in wanted]
    graph = onnx.helper.make_graph(nodes, "part", inputs, outputs)
    part = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=min(model.ir_version, 10) or 8
    )
    session = open_session(part.SerializeToString(), ALL_CORES, AS_WRITTEN)
    found: list[Array] = session.run(list(wanted), {name: values[name] for name in read})
    return found
