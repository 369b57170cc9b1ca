"""Converts float layers of an ONNX model to FP16, without rounding values that are quantised afterwards."""

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from calibration.onnx_graph import OnnxGraph, node_label
from targets.errors import EngineError

LARGEST = float(np.finfo(np.float16).max)
SMALLEST_SCALE = float(np.finfo(np.float16).tiny)
"""Below it FP16 holds a scale with fewer than 11 bits."""
HALF_SCALES_OPSET = 19
"""The first in which Q and DQ take FP16."""
NEVER_FLOAT = {("Resize", 2), ("DequantizeLinear", 0)}
"""Inputs that stay as they are: Resize's scales, which ONNX requires in FP32, and what is 8-bit."""
WEIGHTED = ("Conv", "Gemm")
QUANTISING = ("QuantizeLinear", "DequantizeLinear")


def float_layers_to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ model whose Conv and Gemm nodes with float weights compute in FP16, casts around them.

    Quantised layers keep their FP32 scales, so they compute what was validated. Raises EngineError for
    weights that FP16 cannot hold.
    """
    graph = OnnxGraph(model)
    inside = {i for i, node in enumerate(graph.nodes) if _has_float_weights(graph, node)}
    return _with_half(graph, inside)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float model that computes in FP16 from its first Conv on; pixels are normalised in FP32.

    Raises EngineError for weights that FP16 cannot hold.
    """
    graph = OnnxGraph(model)
    first = next((node for node in graph.nodes if node.op_type == "Conv"), None)
    before = set() if first is None else _ancestors(graph, first.input[0])
    inside = {
        i
        for i, node in enumerate(graph.nodes)
        if i not in before and node.op_type not in ("Constant", "Identity")
    }
    return _with_half(graph, inside)


def all_to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ model in opset 19 that computes in FP16 behind the first layer's Q, its scales included.

    No casts are left between quantised layers and others. Raises EngineError for scales or weights that FP16
    cannot hold, and where the graph cannot be written in that opset.
    """
    try:
        model = version_converter.convert_version(model, HALF_SCALES_OPSET)
    except RuntimeError as error:
        raise EngineError(f"it cannot be written in opset {HALF_SCALES_OPSET}: {error}") from error
    graph = OnnxGraph(model)
    first = next((node for node in graph.nodes if node.op_type == "Conv"), None)
    before = set() if first is None else _ancestors(graph, first.input[0])
    if first is not None:
        entry = graph.producer_index(first.input[0])
        if entry is not None and graph.nodes[entry].op_type == "DequantizeLinear":
            before.discard(entry)  # so that nothing stands between it and the convolution
    inside = {
        i
        for i, node in enumerate(graph.nodes)
        if i not in before and node.op_type not in ("Constant", "Identity")
    }
    _check_scales(graph, inside)
    return _with_half(graph, inside)


def _check_scales(graph: OnnxGraph, inside: Collection[int]) -> None:
    for i in inside:
        node = graph.nodes[i]
        scale = graph.constant(node.input[1]) if node.op_type in QUANTISING else None
        if scale is not None and float(np.min(scale)) < SMALLEST_SCALE:
            raise EngineError(
                f"{node_label(node)} has a scale of {float(np.min(scale)):g}; FP16 holds {SMALLEST_SCALE:g} "
                "and more exactly enough"
            )


def _has_float_weights(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    return node.op_type in WEIGHTED and graph.is_constant(node.input[1])


def _ancestors(graph: OnnxGraph, tensor: str) -> set[int]:
    """Indices of the nodes that `tensor` is computed from."""
    found: set[int] = set()
    names = [tensor]
    while names:
        index = graph.producer_index(names.pop())
        if index is not None and index not in found:
            found.add(index)
            names.extend(graph.nodes[index].input)
    return found


def _with_half(graph: OnnxGraph, inside: Collection[int]) -> onnx.ModelProto:
    """Convert the nodes `inside` to FP16: round constants, and add casts where tensors enter and leave."""
    names = {name for i in inside for name in graph.nodes[i].output}
    outputs = {output.name for output in graph.model.graph.output}
    leaving = {name for name in names if name in outputs or _read_outside(graph, name, inside)}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, onnx.TensorProto] = {}
    entered: set[str] = set()
    for i, original in enumerate(graph.nodes):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        if i in inside:
            for slot, name in enumerate(original.input):
                if (original.op_type, slot) in NEVER_FLOAT:
                    continue
                node.input[slot] = half = _half_name(graph, name, names, leaving)
                if half == name or half in entered or half in names:
                    continue
                value = graph.constant(name)
                if value is not None:
                    constants[half] = numpy_helper.from_array(rounded_to_half(value, name, node), half)
                elif name not in names:
                    nodes.append(_cast(name, half, TensorProto.FLOAT16))
                entered.add(half)
            for slot, name in enumerate(original.output):
                node.output[slot] = f"{name}/half" if name in leaving else name
        nodes.append(node)
        nodes.extend(
            _cast(f"{name}/half", name, TensorProto.FLOAT)
            for name in original.output
            if i in inside and name in leaving
        )
    return _assembled(graph, nodes, constants)


def _read_outside(graph: OnnxGraph, name: str, inside: Collection[int]) -> bool:
    return any(edge.node not in inside for edge in graph.consumers(name))


def _half_name(graph: OnnxGraph, name: str, inner: Collection[str], leaving: Collection[str]) -> str:
    """The tensor that an FP16 node reads instead of `name`: the same if it is not float, or already FP16."""
    if not name:
        return name
    value = graph.constant(name)
    if value is not None:
        return f"{name}/half" if value.dtype == np.float32 else name
    return name if name in inner and name not in leaving else f"{name}/half"


def rounded_to_half(value: NDArray[np.float32], name: str, node: onnx.NodeProto) -> NDArray[np.float16]:
    """Return the constant `name` of a node in FP16. Raises EngineError if that holds no such values."""
    largest = float(np.abs(value).max(initial=0))
    if not largest <= LARGEST:
        raise EngineError(
            f"{node_label(node)}: {name} holds {largest:g}; FP16 ends at {LARGEST:g}. "
            "Weights of that size are broken: load others."
        )
    return value.astype(np.float16)


def _cast(name: str, output: str, to: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [output], f"{output}/Cast", to=to)


def _assembled(
    graph: OnnxGraph, nodes: list[onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> onnx.ModelProto:
    """The model with new nodes and additional constants; unused constants are left out."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    used = {name for node in nodes for name in node.input}
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(n for n in nodes if n.op_type != "Constant" or n.output[0] in used)
    known = {**graph.initializers, **constants}
    model.graph.initializer.extend(proto for name, proto in known.items() if name in used)
    return model
