"""Adapts the weights behind maps that are flattened in another order than channels, rows, columns.

Keras' Flatten of [N, H, W, C] is a Transpose and a Flatten here. The weights of the Gemm or MatMul behind it
are permuted into the order of the map instead.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from calibration.onnx_graph import attribute
from pipeline.models.foreign.normal_form.known_shapes import shapes
from pipeline.models.foreign.replaced_nodes import replace_nodes

_MOVES = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
_MOST = 1 << 22
"""The most values of a map: a table of indices for more would take too much memory."""


def write_flattening_in_order(model: onnx.ModelProto) -> None:
    """Rewrite every Gemm and MatMul with constant weights behind a map whose values are moved."""
    producers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type in ("Gemm", "MatMul") and node.input[1] in constants:
            moves = _moves_before(node.input[0], producers, constants)
            if any(one.op_type == "Transpose" for one in moves) and not attribute(node, "transA", 0):
                found[node.output[0]] = (node, moves)
    if not found:
        return
    sizes = shapes(model, [moves[0].input[0] for _, moves in found.values()], 1)
    made = {}
    for node, moves in found.values():
        source = moves[0].input[0]
        images_first = len(sizes[source]) == 4 and sizes[source][0] == 1
        if images_first and np.prod(sizes[source]) <= _MOST:
            places = _places(moves, sizes[source], constants)
            weight = numpy_helper.to_array(constants[node.input[1]])
            if len(places.shape) == 2 and len(places) == 1 and weight.ndim == 2:
                made[node.output[0]] = _in_order(model, node, source, places.ravel(), weight)
    replace_nodes(model.graph, made)


def _moves_before(
    tensor: str, producers: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """Return the chain of moves that ends in `tensor`, in the order of the graph."""
    chain: list[onnx.NodeProto] = []
    while (node := producers.get(tensor)) is not None and node.op_type in _MOVES:
        if not all(name in constants for name in node.input[1:] if name):
            break
        chain.insert(0, node)
        tensor = node.input[0]
    return chain


def _places(
    moves: list[onnx.NodeProto], size: tuple[int, ...], constants: dict[str, onnx.TensorProto]
) -> NDArray[np.int64]:
    """Return for each value behind the moves its index in the map, for one image."""
    places = np.arange(np.prod(size), dtype=np.int64).reshape(size)
    for node in moves:
        feeds = {name: numpy_helper.to_array(constants[name]) for name in node.input[1:] if name}
        (moved,) = ReferenceEvaluator(node).run(None, {node.input[0]: places, **feeds})
        places = np.asarray(moved, np.int64)
    return places


def _in_order(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    source: str,
    places: NDArray[np.int64],
    weight: NDArray[np.generic],
) -> list[onnx.NodeProto]:
    axis = 1 if attribute(node, "transB", 0) else 0
    ordered = np.take(weight, np.argsort(places), axis)
    name, flat = f"{node.output[0]}/in_order", f"{node.output[0]}/flat"
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(ordered), name))
    flatten = helper.make_node("Flatten", [source], [flat], flat, axis=1)
    node.input[0], node.input[1] = flat, name
    return [flatten, node]
