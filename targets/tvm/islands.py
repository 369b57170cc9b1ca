"""Collects the float operators of a graph into islands, as few and as large as the order allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from targets.errors import EngineError
from targets.tvm.bounded_read import array, fold, label
from targets.tvm.integer_graph import Island, Operator
from targets.tvm.tensors import Dense, Tensor

_LARGEST = 1 << 26
"""The most elements of a tensor; more means a damaged or hostile shape."""


class Shapes:
    """Static shapes and types of a model's tensors, for one image."""

    def __init__(self, model: onnx.ModelProto) -> None:
        single = _constants_folded(model)
        for value in single.graph.input:
            value.type.tensor_type.shape.dim[0].dim_value = 1
        for value in single.graph.output:
            value.type.tensor_type.ClearField("shape")  # they may have a fixed batch
        try:
            inferred = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
        except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
            raise EngineError(f"The shapes of the model's tensors contradict each other: {error}") from error
        self._types = {v.name: v.type for v in (*inferred.value_info, *inferred.output, *inferred.input)}

    def find(self, name: str, node: onnx.NodeProto) -> Dense:
        """The tensor `name` that `node` writes. Raises EngineError if its shape is unknown or absurd."""
        found = self._types.get(name)
        kind = found.tensor_type if found is not None else onnx.TypeProto.Tensor()
        if not kind.HasField("shape") or not all(d.HasField("dim_value") for d in kind.shape.dim):
            raise EngineError(
                f"{label(node)} has no integer form, and in float the shape of its result {name!r} has to be "
                "known when the engine is built."
            )
        shape = tuple(d.dim_value for d in kind.shape.dim)
        if np.prod(shape, dtype=object) > _LARGEST or any(d < 1 for d in shape):
            raise EngineError(f"{label(node)} gives a tensor of absurd shape {list(shape)}.")
        return Dense(name, shape, np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name)


def _constants_folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose pads and sizes are initialisers: inference does not compute what exporters put there."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    constants = {i.name: array(i) for i in single.graph.initializer}
    del single.graph.node[:]
    for node in model.graph.node:
        value = fold(node, {name: constants[name] for name in node.input if name in constants})
        if value is None:
            single.graph.node.append(node)
        else:
            constants[node.output[0]] = value
            single.graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    return single


@dataclass(eq=False)
class Draft:
    """An island while nodes join it."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    reads: dict[str, Dense] = field(default_factory=dict)
    writes: dict[str, Dense] = field(default_factory=dict)
    constants: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def add(
        self,
        node: onnx.NodeProto,
        operands: Mapping[str, Dense | NDArray[np.generic]],
        results: Sequence[Dense],
    ) -> None:
        """Append a node. `operands` has what it reads, by the names it uses."""
        for name, value in operands.items():
            if not isinstance(value, Dense):
                self.constants[name] = value
            elif value.name not in self.writes:
                self.reads[name] = value
        self.nodes.append(node)
        self.writes |= {dense.name: dense for dense in results}

    def finish(self, wanted: set[str], model: onnx.ModelProto) -> Island:
        """Make the island, with those results that something outside of it reads."""
        results = [dense for name, dense in self.writes.items() if name in wanted]
        graph = helper.make_graph(
            self.nodes,
            "island",
            [_info(name, dense) for name, dense in self.reads.items()],
            [_info(dense.name, dense) for dense in results],
            [numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in self.constants.items()],
            value_info=[_info(dense.name, dense) for dense in self.writes.values()],
        )
        part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        more = f" and {len(self.nodes) - 1} more" if len(self.nodes) > 1 else ""
        return Island(label(self.nodes[0]) + more, tuple(self.reads.values()), tuple(results), part)


class GrowingGraph:
    """The operators so far, in an order of work that lets float operators join the island before them."""

    def __init__(self) -> None:
        self.operators: list[Operator | Draft] = []
        self._open: Draft | None = None

    def append(self, operator: Operator) -> None:
        """Add an operator; the open island is complete if it reads from there."""
        if self._open is not None and any(t.name in self._open.writes for t in operator.inputs):
            self._open = None
        # Before the island that is still open: it reads nothing that comes later.
        at = len(self.operators) - (self._open is not None)
        self.operators.insert(at, operator)

    def join(
        self,
        node: onnx.NodeProto,
        operands: Mapping[str, Dense | NDArray[np.generic]],
        results: Sequence[Dense],
    ) -> None:
        """Add a float operator to the open island, or begin one. `operands` as for `Draft.add`."""
        if self._open is None:
            self._open = Draft()
            self.operators.append(self._open)
        self._open.add(node, operands, results)

    def finish(self, logits: Tensor | Dense, model: onnx.ModelProto) -> tuple[Operator, ...]:
        """All operators, each island with those results that something outside of it reads."""
        wanted = {logits.name}
        for op in self.operators:
            wanted |= {t.name for t in (op.reads.values() if isinstance(op, Draft) else op.inputs)}
        return tuple(op.finish(wanted, model) if isinstance(op, Draft) else op for op in self.operators)


def _info(name: str, dense: Dense) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dense.dtype))
    return helper.make_tensor_value_info(name, kind, dense.shape)
