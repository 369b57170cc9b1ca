"""Replaces shapes that a graph computes by constants, except for the batch dimension.

The graph is run with one image and with two. Dimensions that are the same in both are constants; the one that
differs is the batch dimension.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Shapes = dict[str, tuple[int, ...]]


def fix_the_size(model: onnx.ModelProto, layout: str, size: tuple[int, int, int]) -> None:
    """Write height, width and channels of the images into the shape of the input."""
    height, width, channels = size
    sides = (channels, height, width) if layout == "NCHW" else (height, width, channels)
    for dimension, side in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], sides, strict=True):
        dimension.dim_value = side
    del model.graph.value_info[:]


def write_computed_shapes(model: onnx.ModelProto) -> None:
    """Give Reshape and Expand constant shapes if only the batch dimension varies."""
    constants = {tensor.name for tensor in model.graph.initializer}
    open_ones = [
        node
        for node in model.graph.node
        if node.op_type in ("Reshape", "Expand") and node.input[1] not in constants
    ]
    if not open_ones:
        return
    names = [node.output[0] for node in open_ones]
    for_one, for_two = (shapes(model, names, images) for images in (1, 2))
    for node, name in zip(open_ones, names, strict=True):
        shape = _same(for_one[name], for_two[name], 1 if node.op_type == "Expand" else -1)
        if shape is not None:
            node.input[1] = add_constant(model, f"{name}/shape", np.array(shape, np.int64))


def add_constant(model: onnx.ModelProto, name: str, value: NDArray[np.generic]) -> str:
    """Add a constant to the graph, and return its name."""
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def shapes(model: onnx.ModelProto, names: Sequence[str], images: int) -> Shapes:
    """Return the shapes of tensors when the model runs on a batch of `images`.

    Raises onnxruntime's exceptions for a model that it refuses, or that does not take this batch size.
    """
    import onnxruntime

    if not names:
        return {}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(names))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )  # keeps every tensor
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    tensor = model.graph.input[0].type.tensor_type
    sides = [dimension.dim_value for dimension in tensor.shape.dim[1:]]
    image = np.zeros((images, *sides), helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    found = session.run(None, {model.graph.input[0].name: image})
    return {output.name: np.shape(value) for output, value in zip(session.get_outputs(), found, strict=True)}


def _same(one: tuple[int, ...], two: tuple[int, ...], images: int) -> list[int] | None:
    """Return the common shape, with `images` where they differ; None if several dimensions differ."""
    if len(one) != len(two):
        return None
    shape = [a if a == b else images for a, b in zip(one, two, strict=True)]
    return shape if sum(a != b for a, b in zip(one, two, strict=True)) <= 1 and 0 not in one else None
