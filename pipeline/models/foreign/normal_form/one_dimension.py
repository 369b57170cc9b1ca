"""Writes 1-D convolutions, such as ECA's along channels, as 2-D convolutions of maps one row high."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute, node_label
from pipeline.errors import CheckpointError
from pipeline.models.foreign.replaced_nodes import replace_nodes

ROW = 2
"""The dimension that is added: [N, C, L] becomes [N, C, 1, L]."""
VOLUME = 4
"""Dimensions of the weights of convolutions along two dimensions: those along three have more."""


def refuse_volumes(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError for a convolution along three dimensions."""
    sizes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and sizes.get(node.input[1], 0) > VOLUME:
            raise CheckpointError(
                f"{path}: {node_label(node)} convolves along three dimensions; edgec compiles convolutions"
                " along one and two. Write it as a Conv2d, if one of the three has the size 1."
            )


def write_in_two_dimensions(model: onnx.ModelProto) -> None:
    """Rewrite every Conv of [N, C, L] with constant weights."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    lines = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and node.input[1] in weights and len(weights[node.input[1]].dims) == 3
    ]
    if not lines:
        return
    axis = f"{lines[0].output[0]}/row"
    model.graph.initializer.append(numpy_helper.from_array(np.array([ROW]), axis))
    made = {
        node.output[0]: _written(model.graph, node, numpy_helper.to_array(weights[node.input[1]]), axis)
        for node in lines
    }
    replace_nodes(model.graph, made)


def _written(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    weight: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    axis: str,
) -> list[onnx.NodeProto]:
    output = node.output[0]
    (kernel,) = weight.shape[2:]
    (stride,), (dilation,) = (attribute(node, name, [1]) for name in ("strides", "dilations"))
    begin, end = attribute(node, "pads", [0, 0])
    given = {"auto_pad": attribute(node, "auto_pad", b"NOTSET"), "group": attribute(node, "group", 1)}
    if given["auto_pad"] in (b"NOTSET", b""):
        given = {"pads": [0, begin, 0, end], "group": given["group"]}
    whole = numpy_helper.from_array(np.ascontiguousarray(weight[:, :, None]), f"{output}/weight")
    graph.initializer.append(whole)
    return [
        helper.make_node("Unsqueeze", [node.input[0], axis], [f"{output}/map"], f"{output}/to_map"),
        helper.make_node(
            "Conv",
            [f"{output}/map", whole.name, *node.input[2:]],
            [f"{output}/made"],
            node.name,
            kernel_shape=[1, kernel],
            strides=[1, stride],
            dilations=[1, dilation],
            **given,
        ),
        helper.make_node("Squeeze", [f"{output}/made", axis], [output], f"{output}/to_line"),
    ]
