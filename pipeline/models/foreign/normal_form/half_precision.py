"""Widens float16 and bfloat16 graphs to float32, which holds each of their values exactly."""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def is_half(model: onnx.ModelProto) -> bool:
    """Whether any weight or cast is in half precision."""
    weights = any(tensor.data_type in HALVES for tensor in model.graph.initializer)
    return weights or any(_narrows(attribute) for node in model.graph.node for attribute in node.attribute)


def widen(model: onnx.ModelProto) -> None:
    """Make everything that is float16 or bfloat16 float32: weights, constants, casts, inputs and outputs."""
    for tensor in model.graph.initializer:
        _widen_tensor(tensor)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)
            elif _narrows(attribute):
                attribute.i = TensorProto.FLOAT
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.elem_type in HALVES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del model.graph.value_info[:]


def _narrows(attribute: onnx.AttributeProto) -> bool:
    return attribute.name in ("to", "dtype", "stash_type") and attribute.i in HALVES


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type in HALVES:
        value = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
