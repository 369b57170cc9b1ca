"""Reverses the channels of the first convolutions' stored weights, so that a BGR network takes RGB."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError

ROUNDING = ("QuantizeLinear", "DequantizeLinear")
PASSED = ("Pad", "Transpose", "Cast", *ROUNDING)
"""Operators that treat all channels alike."""


def take_rgb(graph: onnx.GraphProto, tensor: str, path: Path) -> None:
    """Let what reads `tensor`, NCHW in BGR, read it in RGB: turn the planes of its convolutions' weights.

    What pads or rounds the tensor first is passed through. Raises CheckpointError, naming the file at `path`,
    where something else reads it.
    """
    for node in [node for node in graph.node if tensor in node.input]:
        if node.op_type in PASSED:
            take_rgb(graph, node.output[0], path)
        elif not _turned(graph, node):
            raise CheckpointError(
                f"{path} is said to take BGR, and its first layer is {node.op_type}: edgec turns channels"
                " only in the weights of a convolution. Swap them in the network, and leave colors out."
            )


def _turned(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Turn the weights of a convolution, wherever they are stored; False where it has none of its own."""
    if node.op_type != "Conv" or attribute(node, "group", 1) != 1:
        return False
    weights = {one.name: one for one in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    reader, slot = node, 1
    while (behind := producers.get(reader.input[slot])) is not None and behind.op_type in ROUNDING:
        reader, slot = behind, 0
    stored = reader.input[slot]
    if stored not in weights:
        return False
    name = f"{stored}_rgb"
    if name not in weights:
        turned = np.ascontiguousarray(numpy_helper.to_array(weights[stored])[:, ::-1])
        graph.initializer.append(numpy_helper.from_array(turned, name))
    reader.input[slot] = name
    return True
