"""How much of a Q/DQ graph's arithmetic is integer: multiply-accumulates between 8-bit operands."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from calibration.onnx_graph import OnnxGraph, node_label


@dataclass(frozen=True)
class Int8Coverage:
    """Multiply-accumulates of one image in layers with weights; the layers not in INT8, by name."""

    int8_macs: int
    total_macs: int
    float_layers: tuple[str, ...]


def coverage(model: Path) -> Int8Coverage:
    """Count the multiply-accumulates of an ONNX model. Raises ModelError if it cannot be read.

    A layer is in INT8 if both its input and its weights come from a DequantizeLinear.
    """
    graph = OnnxGraph.load(model)
    macs = layer_macs(graph)
    in_float = [node for node in graph.nodes if node.name in macs and not _is_int8(graph, node)]
    total = sum(macs.values())
    return Int8Coverage(
        total - sum(macs[node.name] for node in in_float), total, tuple(node_label(node) for node in in_float)
    )


def layer_macs(graph: OnnxGraph) -> dict[str, int]:
    """Return the multiply-accumulates of one image in each layer with weights, by the node's name."""
    inferred = onnx.shape_inference.infer_shapes(graph.model)
    known = [*inferred.graph.value_info, *inferred.graph.output]
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in known}
    macs: dict[str, int] = {}
    for node in graph.nodes:
        if node.op_type in ("Conv", "Gemm", "ConvTranspose", "MatMul"):
            macs[node.name] = _weights(graph, node.input[1]) * _positions(node, shapes)
    return macs


def _positions(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> int:
    """How often each weight is used for one image: at every output, or input of a transposed convolution."""
    match node.op_type:
        case "Conv":
            used = shapes[node.output[0]][2:]
        case "ConvTranspose":
            used = shapes[node.input[0]][2:]
        case "MatMul":
            used = shapes[node.output[0]][1:-1]
        case _:
            used = []
    return int(np.prod(used))


def _weights(graph: OnnxGraph, tensor: str) -> int:
    """Return the number of weights, whether they are stored as they are or behind a DequantizeLinear."""
    producer = graph.producer(tensor)
    stored = graph.constant(producer.input[0] if producer is not None else tensor)
    return 0 if stored is None else stored.size


def _is_int8(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    producers = [graph.producer(name) for name in node.input[:2]]
    return all(producer is not None and producer.op_type == "DequantizeLinear" for producer in producers)
