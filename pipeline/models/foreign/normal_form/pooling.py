"""Writes means over a whole feature map as global average pooling, and those over channels as maps."""

from collections.abc import Mapping

import onnx
from onnx import helper, numpy_helper, shape_inference

from calibration.onnx_graph import attribute, set_attribute

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


def keep_the_reduced_channels(model: onnx.ModelProto) -> None:
    """Write a mean or maximum over channels that is unsqueezed again as one that keeps their dimension.

    As in spatial attention: torch's `x.mean(1).unsqueeze(1)`.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    outputs = {value.name for value in model.graph.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    again: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type not in _POOLING or list(attribute(node, "axes", [])) != [1]:
            continue
        behind = readers.get(node.output[0], [])
        if attribute(node, "keepdims", 1) or not behind or node.output[0] in outputs:
            continue
        if all(_adds_channels(one, constants) and one.output[0] not in outputs for one in behind):
            set_attribute(node, "keepdims", 1)
            again |= {one.output[0]: node.output[0] for one in behind}
    kept = [node for node in model.graph.node if node.output[0] not in again]
    for node in kept:
        node.input[:] = [again.get(name, name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _adds_channels(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a node makes [N, 1, H, W] of [N, H, W]."""
    axes = constants.get(node.input[1]) if node.op_type == "Unsqueeze" else None
    return axes is not None and numpy_helper.to_array(axes).tolist() in (1, [1])
