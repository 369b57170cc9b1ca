"""Writes graphs in float16, bfloat16 and float64 in float32.

float32 holds each value of the first two exactly; of float64 it keeps the 24 bits that 8-bit engines are far
from resolving, and outputs are compared with the original's afterwards.
"""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def is_half(model: onnx.ModelProto) -> bool:
    """Whether any weight or cast is in half precision."""
    return _has(model, HALVES)


def is_foreign_to_cpus(model: onnx.ModelProto) -> bool:
    """Whether anything is in bfloat16, or layers in float64: onnxruntime has few such operators on CPUs."""
    return _has(model, (TensorProto.BFLOAT16,)) or _computes_in_float64(model)


def write_in_float32(model: onnx.ModelProto) -> None:
    """Make everything in other precisions float32: weights, constants, casts, inputs and outputs.

    float64 stays where only some shapes are computed in it.
    """
    others = (*HALVES, TensorProto.DOUBLE) if _computes_in_float64(model) else HALVES
    _write(model.graph, others)
    del model.graph.value_info[:]


def _write(graph: onnx.GraphProto, others: tuple[int, ...]) -> None:
    for tensor in graph.initializer:
        _write_tensor(tensor, others)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _write_tensor(attribute.t, others)
            elif _is_type(attribute, others):
                attribute.i = TensorProto.FLOAT
            for inner in (attribute.g, *attribute.graphs):
                _write(inner, others)
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type in others:
            value.type.tensor_type.elem_type = TensorProto.FLOAT


def _computes_in_float64(model: onnx.ModelProto) -> bool:
    """Whether the images or weights of a layer are in float64."""
    images = any(value.type.tensor_type.elem_type == TensorProto.DOUBLE for value in model.graph.input)
    return images or any(
        tensor.data_type == TensorProto.DOUBLE and len(tensor.dims) > 1 for tensor in model.graph.initializer
    )


def _has(model: onnx.ModelProto, types: tuple[int, ...]) -> bool:
    graph = model.graph
    given = any(value.type.tensor_type.elem_type in types for value in graph.input)
    weights = any(tensor.data_type in types for tensor in graph.initializer)
    return given or weights or any(_is_type(one, types) for node in graph.node for one in node.attribute)


def _is_type(attribute: onnx.AttributeProto, types: tuple[int, ...]) -> bool:
    return attribute.name in ("to", "dtype", "stash_type") and attribute.i in types


def _write_tensor(tensor: onnx.TensorProto, others: tuple[int, ...]) -> None:
    if tensor.data_type in others:
        value = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
