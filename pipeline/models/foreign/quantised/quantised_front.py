"""Puts the pixels in front of a network that another tool quantised.

Its first QuantizeLinear rounds numbers that its user computed from pixels. They are computed here in the same
steps and the same order, as torchvision does it: divided by 255, mean taken off, divided by the deviation.
Folding them into one multiplication would put values on the other side of a half.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.models.foreign.description import ForeignModel
from pipeline.models.foreign.onnx_file import Input
from pipeline.models.foreign.quantised.rgb_weights import take_rgb

PLAIN = 1e-6
"""How far 255 times a deviation may be from 1, as a share, to mean pixels as they are."""


def begin_with_pixels_as_described(
    model: onnx.ModelProto, source: ForeignModel, found: Input, dynamic_batch: bool
) -> None:
    """Put the input `image`, uint8 [N, H, W, C], and what the description says in front of the graph.

    Raises CheckpointError for BGR that is read by something else than a convolution.
    """
    start = model.graph.input[0].name
    nchw = source.layout == "NCHW"
    if source.colors == "BGR":
        take_rgb(model.graph, start, source.path)
    steps = list(_steps(source)) if found.takes_floats else []
    nodes: list[onnx.NodeProto] = []
    tensor = "image"
    if found.takes_floats:
        nodes.append(helper.make_node("Cast", [tensor], ["image_float"], "image_cast", to=TensorProto.FLOAT))
        tensor = "image_float"
    if nchw:
        nodes.append(
            helper.make_node("Transpose", [tensor], ["image_nchw"], "image_transpose", perm=[0, 3, 1, 2])
        )
        tensor = "image_nchw"
    for operator, name, value in steps:
        shaped = value.reshape(-1, 1, 1) if nchw and value.size > 1 else value
        model.graph.initializer.append(numpy_helper.from_array(shaped, name))
        nodes.append(
            helper.make_node(operator, [tensor, name], [f"{name}_taken"], f"{name}_{operator.lower()}")
        )
        tensor = f"{name}_taken"
    kept = [*nodes, *model.graph.node]
    for node in kept:
        node.input[:] = [tensor if name == start else name for name in node.input]
    del model.graph.node[:], model.graph.input[:], model.graph.value_info[:]
    model.graph.node.extend(kept)
    shape = ["N" if dynamic_batch else 1, *source.input_shape]
    model.graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, shape))


def _steps(source: ForeignModel) -> "list[tuple[str, str, NDArray[Any]]]":
    """Return operator, name and value of what is done to pixels; values one a channel, in RGB."""
    turn = slice(None, None, -1) if source.colors == "BGR" else slice(None)
    mean, std = (np.array(values, np.float32)[turn] for values in (source.mean, source.std))
    if not mean.any() and np.allclose(std * np.float32(255), 1, rtol=PLAIN, atol=0):
        return []
    steps = [("Div", "image_255", np.array(255, np.float32))]
    if mean.any():
        steps.append(("Sub", "image_mean", np.ascontiguousarray(mean)))
    if (std != 1).any():
        steps.append(("Div", "image_std", np.ascontiguousarray(std)))
    return steps
