"""Reading and rewriting an ONNX graph: who produces and who consumes a tensor, and what is constant."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # onnx brings it
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.errors import ModelError
from calibration.onnx_text import check_utf8

IMAGE = "image"
QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True)
class Edge:
    """One input of one node: input number `slot` of the node with index `node`."""

    node: int
    slot: int = 0


class OnnxGraph:
    """An index over a model's graph. Does not follow changes of the nodes: make a new one after rewriting."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.initializers = {i.name: i for i in model.graph.initializer}
        self._constant_nodes = {
            n.output[0]: n.attribute[0].t
            for n in self.nodes
            if n.op_type == "Constant" and n.attribute[0].HasField("t")
        }
        self._producer = {name: i for i, n in enumerate(self.nodes) for name in n.output}
        self._consumers: defaultdict[str, list[Edge]] = defaultdict(list)
        for i, node in enumerate(self.nodes):
            for slot, name in enumerate(node.input):
                self._consumers[name].append(Edge(i, slot))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an ONNX file. Raises ModelError if it is missing or is not an ONNX model."""
        try:
            model = onnx.load(path)
            check_utf8(model)
        except (OSError, DecodeError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as an ONNX model: {error}") from error
        return cls(model)

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that computes `tensor`; None for graph inputs and initialisers."""
        index = self._producer.get(tensor)
        return None if index is None else self.nodes[index]

    def producer_index(self, tensor: str) -> int | None:
        """The index of the node that computes `tensor`; None for graph inputs and initialisers."""
        return self._producer.get(tensor)

    def consumers(self, tensor: str) -> list[Edge]:
        """Every node input that reads `tensor`, in graph order."""
        return self._consumers[tensor]

    def is_constant(self, tensor: str) -> bool:
        """Whether `tensor` is an initialiser, the output of a Constant node, or a copy of one."""
        return self.constant_proto(tensor) is not None

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """The value of an initialiser or Constant node; None if `tensor` is computed."""
        proto = self.constant_proto(tensor)
        return None if proto is None else numpy_helper.to_array(proto)

    def constant_proto(self, tensor: str) -> onnx.TensorProto | None:
        """As `constant`, undecoded. Looks through Identity: torch writes equal weights once, then copies."""
        while (node := self.producer(tensor)) is not None and node.op_type == "Identity":
            tensor = node.input[0]
        return self.initializers.get(tensor) or self._constant_nodes.get(tensor)

    def folded(self, tensor: str) -> NDArray[Any] | None:
        """The value of `tensor` if it follows from constants alone; None if it depends on the input."""
        if self.is_constant(tensor):
            return self.constant(tensor)
        wanted, needed = {tensor}, []
        for node in reversed(self.nodes):
            if wanted & set(node.output):
                needed.append(node)
                wanted |= set(node.input)
        if wanted & {i.name for i in self.model.graph.input}:
            return None
        from onnx.reference import ReferenceEvaluator

        outputs = [onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.UNDEFINED, None)]
        constants = [i for name, i in self.initializers.items() if name in wanted]
        graph = onnx.helper.make_graph(needed[::-1], "constants", [], outputs, constants)
        model = onnx.helper.make_model(graph, opset_imports=self.model.opset_import)
        outcome: Any = ReferenceEvaluator(model).run(None, {})  # a list; its type says a dict may come too
        return np.asarray(outcome[0])

    def image(self) -> onnx.ValueInfoProto:
        """The graph input `image`. Raises ModelError unless it is the only input and uint8 [N, H, W, C]."""
        inputs = [i for i in self.model.graph.input if i.name not in self.initializers]
        found = ", ".join(i.name for i in inputs) or "none"
        if len(inputs) != 1 or inputs[0].name != IMAGE:
            raise ModelError(
                f"The model's inputs are: {found}. It needs exactly one, '{IMAGE}', uint8 [N, H, W, C] raw "
                "pixels."
            )
        tensor = inputs[0].type.tensor_type
        if tensor.elem_type != onnx.TensorProto.UINT8 or len(tensor.shape.dim) != 4:
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
            raise ModelError(
                f"The model's input '{IMAGE}' is {kind} with {len(tensor.shape.dim)} dimensions; "
                "it has to be uint8 [N, H, W, C], with the normalisation inside the model."
            )
        image: onnx.ValueInfoProto = inputs[0]
        return image


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- ONNX attributes are
    """The value of a node's attribute, or `default` if the node does not set it."""
    for a in node.attribute:
        if a.name == name:
            return onnx.helper.get_attribute_value(a)
    return default


def is_grouped(node: onnx.NodeProto) -> bool:
    """Whether it is a convolution whose outputs read some of the input channels: grouped or depthwise."""
    return node.op_type == "Conv" and attribute(node, "group", 1) > 1


def set_attribute(node: onnx.NodeProto, name: str, value: object) -> None:
    """Give a node's attribute a value, whether it had one or not."""
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def drop_unused_initializers(model: onnx.ModelProto) -> None:
    """Take out the initialisers that no node of the main graph reads."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [proto for proto in model.graph.initializer if proto.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def tensor_proto(name: str, value: NDArray[Any]) -> onnx.TensorProto:
    """An initialiser holding `value`, contiguous, of the same shape: a scalar stays one."""
    return numpy_helper.from_array(np.asarray(value, order="C"), name)


def node_label(node: onnx.NodeProto) -> str:
    """How a node is named to a user: its name, or its type and first output where it has none."""
    return node.name or f"{node.op_type} -> {node.output[0]}"


def undequantized(graph: OnnxGraph, tensor: str) -> str:
    """The tensor in front of any QuantizeLinear and DequantizeLinear that end in `tensor`."""
    while (node := graph.producer(tensor)) is not None and node.op_type in QDQ:
        tensor = node.input[0]
    return tensor
