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


def write_what_the_size_decides(model: onnx.ModelProto, whole_numbers: bool = False) -> None:
    """Make constants of what follows from the shape of the images, and not from their number.

    whole_numbers: only of shapes and places, so that weights stay behind their DequantizeLinear.
    Raises onnxruntime's exceptions for a model that it refuses.
    """
    names = sorted(independent_of_values(model.graph))
    for_one, for_two = (values(model, names, images) for images in (1, 2))
    decided = {
        name: for_one[name]
        for name in names
        if for_one[name].shape == for_two[name].shape
        and np.array_equal(for_one[name], for_two[name])
        and not (whole_numbers and for_one[name].dtype not in (np.int64, np.int32, np.bool_))
    }
    kept = [node for node in model.graph.node if any(name and name not in decided for name in node.output)]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    outputs = {value.name for value in model.graph.output}
    read = {name for node in model.graph.node for name in read_by(node)} | outputs
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in decided.items() if name in read
    )


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
    read = [node.input[0] for node in open_ones if node.input[0] not in constants]
    for_one, for_two = (shapes(model, [*names, *read], images) for images in (1, 2))
    for node, name in zip(open_ones, names, strict=True):
        expands = node.op_type == "Expand"
        if expands and for_one.get(node.input[0]) == for_two.get(node.input[0]):
            continue  # what it repeats is the same for every image: only it can make one for each
        shape = _same(for_one[name], for_two[name], 1 if expands else -1)
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
    return {name: value.shape for name, value in values(model, names, images).items()}


def values(model: onnx.ModelProto, names: Sequence[str], images: int) -> dict[str, NDArray[np.generic]]:
    """Return tensors as they are when the model runs on so many black images. Raises as `shapes` does."""
    import onnxruntime

    if not names:
        return {}
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_value_info(name, onnx.TypeProto()) for name in dict.fromkeys(names))
    needed = _needed(model.graph, names)
    del probe.graph.node[:]
    probe.graph.node.extend(needed)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )  # keeps every tensor
    options.log_severity_level = 4  # errors are raised
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    tensor = model.graph.input[0].type.tensor_type
    sides = [dimension.dim_value for dimension in tensor.shape.dim[1:]]
    image = np.zeros((images, *sides), helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    found = session.run(None, {model.graph.input[0].name: image})
    return {output.name: np.asarray(v) for output, v in zip(session.get_outputs(), found, strict=True)}


def _needed(graph: onnx.GraphProto, names: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that lead to tensors: others may not run with the number of images at hand."""
    wanted, kept = set(names), []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(read_by(node))
    return kept[::-1]


def read_by(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, also in the graphs inside it."""
    inner = [one for given in node.attribute for one in (given.g, *given.graphs) if one.node]
    return {*node.input, *(name for one in inner for part in one.node for name in read_by(part))} | {
        value.name for one in inner for value in one.output
    }


def independent_of_values(graph: onnx.GraphProto) -> set[str]:
    """Return the computed tensors whose values follow from the shape of the images alone."""
    depending = {value.name for value in graph.input}
    found: set[str] = set()
    for node in graph.node:
        if node.op_type != "Shape" and (depending & read_by(node) or node.op_type.startswith("Random")):
            depending.update(node.output)
        else:
            found.update(name for name in node.output if name)
    return found


def _same(one: tuple[int, ...], two: tuple[int, ...], images: int) -> list[int] | None:
    """Return the common shape, with `images` where they differ; None if several dimensions differ."""
    if len(one) != len(two):
        return None
    shape = [a if a == b else images for a, b in zip(one, two, strict=True)]
    return shape if sum(a != b for a, b in zip(one, two, strict=True)) <= 1 and 0 not in one else None
