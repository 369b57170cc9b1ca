"""Parts of a network with the channels last, as in ConvNeXt's blocks, written with the channels second.

A MatMul of the last dimension is a 1 x 1 convolution then, which every engine computes in INT8. A product or
sum with one number a channel behind it goes into its weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute
from calibration.pointwise import FUNCTIONS
from pipeline.models.foreign.normal_form.known_shapes import Shapes, shapes
from pipeline.models.foreign.normal_form.vectors_of_channels import write_nodes

_LAST, _SECOND = [0, 2, 3, 1], [0, 3, 1, 2]


def write_channels_second(model: onnx.ModelProto) -> None:
    """Rewrite what is between Transposes of maps, if a MatMul is among it.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    constants = {one.name for one in model.graph.initializer}
    products = [n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in constants]
    turns = any(_permutes(node, _LAST) for node in model.graph.node)
    if products and turns:
        names = [name for node in model.graph.node for name in (*node.input, *node.output)]
        known = [name for name in dict.fromkeys(names) if name and name not in constants]
        _Turned(model, shapes(model, known, 2)).write()


def _permutes(node: onnx.NodeProto, order: list[int]) -> bool:
    return node.op_type == "Transpose" and list(attribute(node, "perm", [])) == order


@dataclass
class _Turned:
    """Follows maps through the graph: `second` maps a tensor [N, H, W, C] to the same in [N, C, H, W]."""

    model: onnx.ModelProto
    sizes: Shapes
    second: dict[str, str] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    layers: dict[str, tuple[str, NDArray[Any], NDArray[Any]]] = field(default_factory=dict)
    """The new convolutions by their output: input, weights and bias."""
    constants: dict[str, NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.constants = {one.name: numpy_helper.to_array(one) for one in self.model.graph.initializer}

    def write(self) -> None:
        same: dict[str, str] = {}
        for node in self.model.graph.node:
            node.input[:] = [same.get(name, name) for name in node.input]
            self.nodes.append(node)
            if _permutes(node, _LAST):
                self.second[node.output[0]] = node.input[0]
            elif _permutes(node, _SECOND) and node.input[0] in self.second:
                same[node.output[0]] = self.second[node.input[0]]
            elif any(name in self.second for name in node.input) and len(node.output) == 1:
                made = self._made(node)
                if made is not None:
                    self.second[node.output[0]] = made
        write_nodes(self.model.graph, self.nodes, same)

    def _made(self, node: onnx.NodeProto) -> str | None:
        """Return a node's output in [N, C, H, W]; None where it has no such form."""
        if len(self.sizes.get(node.output[0], ())) != 4:
            return None
        if node.op_type in FUNCTIONS:
            return self._by_element(node)
        source, name = self.second.get(node.input[0]), f"{node.output[0]}/second"
        match node.op_type:
            case _ if source is None:
                pass
            case "MatMul" if (weight := self.constants.get(node.input[1])) is not None and weight.ndim == 2:
                kernel = np.ascontiguousarray(weight.T)[:, :, None, None]
                return self._layer(node, source, kernel, np.zeros(len(kernel), weight.dtype))
            case "LayerNormalization" if attribute(node, "axis", -1) in (-1, 3):
                last = self._add("Transpose", [source], f"{name}/last", perm=_LAST)
                normed = self._copy(node, [last, *node.input[1:]], f"{name}/normed")
                return self._add("Transpose", [normed], name, perm=_SECOND)
            case "ReduceMean" if list(attribute(node, "axes", [])) in ([-1], [3]):
                if attribute(node, "keepdims", 1):
                    return self._add("ReduceMean", [source], name, axes=[1])
        return None

    def _by_element(self, node: onnx.NodeProto) -> str | None:
        vectors = {name: self._vector(name) for name in node.input if name in self.constants}
        if any(name and name not in self.second and vectors.get(name) is None for name in node.input):
            return None
        folded = self._folded(node, vectors)
        if folded is not None:
            return folded
        inputs = [
            self.second[name] if name in self.second else self._constant(node, vectors[name]) if name else ""
            for name in node.input
        ]
        return self._copy(node, inputs, f"{node.output[0]}/second")

    def _folded(self, node: onnx.NodeProto, vectors: dict[str, NDArray[Any] | None]) -> str | None:
        """Return the layer that a sum or product with numbers is folded into; None for another node."""
        computed = [name for name in node.input if name in self.second]
        given = [value for value in vectors.values() if value is not None]
        layer = self.layers.get(self.second[computed[0]]) if len(computed) == len(given) == 1 else None
        if layer is None or node.op_type not in ("Add", "Mul") or node.input[0] == node.input[1]:
            return None
        source, weight, bias = layer
        numbers = np.broadcast_to(given[0].ravel(), len(weight))
        if node.op_type == "Add":
            return self._layer(node, source, weight, bias + numbers)
        return self._layer(node, source, weight * numbers[:, None, None, None], bias * numbers)

    def _layer(self, node: onnx.NodeProto, source: str, weight: NDArray[Any], bias: NDArray[Any]) -> str:
        name = f"{node.output[0]}/second"
        inputs = [source, *self._constants({f"{name}/weight": weight, f"{name}/bias": bias})]
        self._add("Conv", inputs, name, kernel_shape=[1, 1])
        self.layers[name] = (source, weight, bias)
        return name

    def _vector(self, name: str) -> NDArray[Any] | None:
        """Return a constant of one number, or of one a channel, as [1, C, 1, 1]; None for another."""
        value = self.constants[name]
        if value.size == 1:
            return value.reshape(())
        return value.reshape(1, -1, 1, 1) if value.ndim and value.size == value.shape[-1] else None

    def _constant(self, node: onnx.NodeProto, value: NDArray[Any] | None) -> str:
        assert value is not None  # noqa: S101 -- the caller has looked
        return next(self._constants({f"{node.output[0]}/second/constant": value}))

    def _constants(self, values: dict[str, NDArray[Any]]) -> Iterator[str]:
        for name, value in values.items():
            self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
            yield name

    def _copy(self, node: onnx.NodeProto, inputs: list[str], name: str) -> str:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:], copy.output[:], copy.name = inputs, [name], name
        self.nodes.append(copy)
        return name

    def _add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:  # noqa: ANN401 -- ONNX's
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name
