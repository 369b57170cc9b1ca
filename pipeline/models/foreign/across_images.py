"""Finds what computes over the images of a batch, so that the answer for one depends on the others."""

import onnx
from onnx import numpy_helper, shape_inference

from calibration.onnx_graph import attribute, node_label

OVER_ONE_AXIS = {"Softmax": -1, "LogSoftmax": -1, "Hardmax": -1}
"""Operators over an axis, and the axis if none is written."""


def computes_over_images(model: onnx.ModelProto) -> str | None:
    """Return the first node that computes over the first dimension, by operator and name, if there is one."""
    typed = shape_inference.infer_shapes(model)
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*typed.graph.value_info, *typed.graph.input, *typed.graph.output)
    }
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        rank = ranks.get(node.input[0] if node.input else "", 0)
        if {0, -rank} & set(_axes(node, constants, rank)):
            return f"{node.op_type} {node_label(node)!r}"
    return None


def _axes(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], rank: int) -> list[int]:
    """Return the axes that a node computes over, as it writes them."""
    if node.op_type in OVER_ONE_AXIS:
        return [attribute(node, "axis", OVER_ONE_AXIS[node.op_type])]
    if node.op_type == "CumSum" and node.input[1] in constants:
        return [int(numpy_helper.to_array(constants[node.input[1]]).ravel()[0])]
    if node.op_type.startswith("Reduce"):
        given = constants.get(node.input[1]) if len(node.input) > 1 else None
        written = attribute(node, "axes", list(range(rank)))
        return written if given is None else numpy_helper.to_array(given).ravel().tolist()
    return []
