"""Networks that take BGR, as OpenCV and Caffe have it: their first convolutions are turned to take RGB."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError


def take_rgb(graph: onnx.GraphProto, tensor: str, path: Path) -> None:
    """Let what reads `tensor`, NCHW in BGR, read it in RGB: turn the planes of its convolutions' weights.

    What pads the tensor first is passed through. Raises CheckpointError, naming the file at `path`, where
    something else reads it.
    """
    weights = {one.name: one for one in graph.initializer}
    for node in [node for node in graph.node if tensor in node.input]:
        if node.op_type == "Pad":
            take_rgb(graph, node.output[0], path)
            continue
        if node.op_type != "Conv" or attribute(node, "group", 1) != 1 or node.input[1] not in weights:
            raise CheckpointError(
                f"{path} is said to take BGR, and its first layer is {node.op_type}: edgec turns channels"
                " only in the weights of a convolution. Swap them in the network, and leave colors out."
            )
        turned = numpy_helper.to_array(weights[node.input[1]])[:, ::-1]
        name = f"{node.input[1]}_rgb"
        if name not in {one.name for one in graph.initializer}:
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(turned), name))
        node.input[1] = name
