"""The share of a Q/DQ graph's multiply-accumulates that have 8-bit operands."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from calibration.onnx_graph import OnnxGraph, node_label
from calibration.pointwise import AFFINE, FUNCTIONS, Elementwise
from calibration.tensor_sizes import tensor_sizes

LAYERS = ("Conv", "Gemm", "ConvTranspose", "MatMul")


@dataclass(frozen=True)
class Int8Coverage:
    """Multiply-accumulates of one image in layers with weights, and the names of layers that are not in INT8.

    float_layers: first the layers with weights, then other operators that compute in float, such as a norm
    that is written as Sub, Mul and Add. The normalisation of the pixels in front of the first quantised
    tensor is not among them.
    """

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
    others = [node for node in _computed_in_float(graph) if node.name not in macs]
    total = sum(macs.values())
    return Int8Coverage(
        total - sum(macs[node.name] for node in in_float),
        total,
        tuple(node_label(node) for node in (*in_float, *others)),
    )


MOVES = frozenset(
    {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "Split", "Gather", "Pad"}
    | {"Concat", "Shape", "Constant", "ConstantOfShape", "Cast", "Dropout", "Expand", "Tile", "DepthToSpace"}
    | {"SpaceToDepth", "QuantizeLinear", "DequantizeLinear"}
)
"""Operators that compute nothing."""
FUSED = frozenset({"Relu", "Clip"})
"""Operators that an engine fuses into the output of an integer layer."""
ON_INTEGERS = frozenset(
    {"MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "Resize", "ReduceMean", "ReduceMax"}
)
"""Operators that an engine computes with integers if their input is quantised."""


NORMS = AFFINE | {"BatchNormalization"}
"""Operators that an engine computes on a quantised tensor or a Concat, channel by channel."""


def _computed_in_float(graph: OnnxGraph) -> Iterator[onnx.NodeProto]:
    """Yield nodes behind the first quantised tensor that compute in float."""
    quantised, known, numbers = _behind_quantisation(graph), set[str](), set[str]()
    elementwise = Elementwise(graph)
    sums = {name: c.source for end, c in elementwise.chains.items() for name in (end, *c.inside)}
    for node in graph.nodes:
        values = [name for name in node.input if name and graph.constant(name) is None]
        integers = bool(values) and all(_dequantised(graph, name) or name in known for name in values)
        in_pairs = (
            node.op_type == "Add"
            and len(values) == 2
            and all(_dequantised(graph, name) or name in known for name in values)
        )
        of_layer = node.op_type in LAYERS and _is_int8(graph, node)
        of_sums = bool(node.output) and sums.get(node.output[0]) in known
        on_numbers = of_sums or _on_numbers(graph, node, elementwise, numbers)
        if on_numbers and _is_rounded(graph, node.output[0]):
            numbers.update(node.output)
        on_integers = of_layer or in_pairs or node.output[0] in numbers
        if on_integers or (integers and node.op_type in FUSED | ON_INTEGERS):
            known.update(node.output)
        elif node.op_type not in MOVES and node.op_type not in LAYERS and node.output[0] in quantised:
            yield node


def _on_numbers(graph: OnnxGraph, node: onnx.NodeProto, functions: Elementwise, numbers: set[str]) -> bool:
    """Whether a node is a function of one quantised tensor, a norm of it, or a product of two."""
    values = functions.computed(node)
    if node.op_type in NORMS and len(values) == 1 and values[0] in numbers:
        return True
    if _dequantised(graph, functions.source.get(node.output[0], "")):
        return True
    return node.op_type in NORMS and all(_dequantised(graph, name) for name in values)


def _is_rounded(graph: OnnxGraph, tensor: str) -> bool:
    """Whether the elementwise operators behind a tensor end in a QuantizeLinear."""
    readers = [graph.nodes[edge.node] for edge in graph.consumers(tensor)]
    if any(reader.op_type == "QuantizeLinear" for reader in readers):
        return True
    more = [reader for reader in readers if reader.op_type in FUNCTIONS | NORMS | MOVES]
    return any(_is_rounded(graph, reader.output[0]) for reader in more)


def _behind_quantisation(graph: OnnxGraph) -> set[str]:
    """Return the tensors that come from a quantised one, or from the image where nothing is quantised."""
    found: set[str] = set()
    for node in graph.nodes:
        between = node.op_type in ("QuantizeLinear", "DequantizeLinear")
        starts = between and graph.constant(node.input[0]) is None  # it quantises values, not weights
        if starts or found & set(node.input):
            found.update(node.output)
    return found or {name for node in graph.nodes for name in node.output}


def _dequantised(graph: OnnxGraph, name: str) -> bool:
    producer = graph.producer(name)
    while producer is not None and producer.op_type in MOVES - {"DequantizeLinear", "QuantizeLinear"}:
        producer = graph.producer(producer.input[0]) if producer.input else None
    return producer is not None and producer.op_type == "DequantizeLinear"


def layer_macs(graph: OnnxGraph) -> dict[str, int]:
    """Return the multiply-accumulates of one image in each layer with weights, by the node's name."""
    shapes = tensor_sizes(graph)
    macs: dict[str, int] = {}
    for node in graph.nodes:
        if node.op_type in LAYERS:
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
