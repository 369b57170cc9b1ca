"""Writes means over a whole feature map as global average pooling."""

import onnx
from onnx import helper, shape_inference

from calibration.onnx_graph import attribute

SIDES = (2, 3)
"""Height and width in [N, C, H, W]."""
_POOLING = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}


def write_means_as_pooling(model: onnx.ModelProto) -> None:
    """Write ReduceMean over height and width as GlobalAveragePool, with Flatten if it drops both."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in [*graph.value_info, *graph.input]}
    nodes = []
    for node in model.graph.node:
        pooling = _POOLING.get(node.op_type)
        of_maps = pooling is not None and ranks.get(node.input[0]) == len(SIDES) + 2
        axes = sorted(axis % 4 for axis in attribute(node, "axes", [])) if of_maps else []
        if pooling is None or axes != list(SIDES):
            nodes.append(node)
        elif attribute(node, "keepdims", 1):
            nodes.append(helper.make_node(pooling, [node.input[0]], list(node.output), node.name))
        else:
            pooled = f"{node.output[0]}/pooled"
            nodes += [
                helper.make_node(pooling, [node.input[0]], [pooled], node.name),
                helper.make_node("Flatten", [pooled], list(node.output), f"{node.name}/flat", axis=1),
            ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
