"""Makes the batch dimension dynamic in graphs that were exported for a fixed batch size.

The export wrote the batch size into shapes: Reshape to [1, 58, 2, 28, 28], Expand, sizes of Resize. Whether
the new graph computes the same for other batch sizes is checked afterwards, on images.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from pipeline.models.foreign.normal_form.known_shapes import Shapes, add_constant, shapes
from pipeline.models.foreign.normal_form.moved_images import free_moved_reshapes, moves_images
from pipeline.models.foreign.replaced_nodes import replace_nodes
from targets.runtime.exact.session import is_from_onnxruntime

ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu", "Where"})


def fixed_batch(model: onnx.ModelProto) -> int | None:
    """Return the batch size that the graph's input has; None if it is dynamic."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    return int(dimensions[0].dim_value) if dimensions and dimensions[0].HasField("dim_value") else None


def free_the_batch(model: onnx.ModelProto) -> None:
    """Make the first dimension of the input and outputs dynamic, and the shapes that repeat it."""
    images = fixed_batch(model) or (1 if _is_open_for_one_only(model) else None)
    _repeat_constants_for_every_image(model, images)
    if images is not None:
        freed = free_moved_reshapes(model, images) if moves_images(model) else set()
        known = shapes(model, _of_interest(model), images)
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        made: dict[str, list[onnx.NodeProto]] = {}
        for node in list(model.graph.node):
            if node.op_type == "Reshape" and node.input[1] in constants and node.output[0] not in freed:
                _free_reshape(model, node, known)
            elif node.op_type == "Squeeze" and len(node.input) == 1:
                _free_squeeze(model, node, known)
            elif node.op_type in ELEMENTWISE and images > 1:
                _free_constants(model, node, constants, images)
            elif node.op_type == "Expand" and node.input[1] in constants:
                _free_expand(model, node, constants, images)
            elif node.op_type == "Resize" and len(node.input) > 3 and node.input[3] in constants:
                made[node.output[0]] = [*_free_resize(model, node, known), node]
        replace_nodes(model.graph, made)
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]


def _is_open_for_one_only(model: onnx.ModelProto) -> bool:
    """Whether the input takes any number of images, but shapes inside are those of one.

    An exporter writes that if it is told of a dynamic batch, and the network reads its size as a number.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    reshapes = [node for node in model.graph.node if node.op_type == "Reshape" and node.input[1] in constants]
    if not any((numpy_helper.to_array(constants[node.input[1]]) > 0).all() for node in reshapes):
        return False
    try:
        shapes(model, [model.graph.output[0].name], 2)
    except Exception as error:
        if not is_from_onnxruntime(error):
            raise
        return True
    return False


def _repeat_constants_for_every_image(model: onnx.ModelProto, images: int | None) -> None:
    """Expand constants with a batch dimension, which a Concat or a GridSample reads, to the number of images.

    Such are the coordinates of CoordConv (Liu et al. 2018), a class token, or a spatial transformer's grid.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        joins = node.op_type == "Concat" and any(one.name == "axis" and one.i for one in node.attribute)
        images_of = next((name for name in node.input if name not in constants), None)
        for slot, name in enumerate(node.input):
            if not (joins or node.op_type == "GridSample") or images_of is None or name not in constants:
                continue
            rows = numpy_helper.to_array(constants[name])
            if rows.ndim > 1 and len(rows) in (1, images) and (rows == rows[:1]).all():
                nodes += _repeated(model, node, slot, rows[:1], images_of)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _repeated(
    model: onnx.ModelProto, node: onnx.NodeProto, slot: int, row: NDArray[np.generic], images_of: str
) -> list[onnx.NodeProto]:
    """Let the node read a row that is repeated as often as `images_of` has images."""
    name = f"{node.output[0]}/every/{slot}"
    parts = {"row": row.copy(), "from": np.array([0]), "to": np.array([1]), "rest": np.array(row.shape[1:])}
    row_name, start, end, rest = (add_constant(model, f"{name}/{key}", part) for key, part in parts.items())
    node.input[slot] = name
    return [
        helper.make_node("Shape", [images_of], [f"{name}/here"]),
        helper.make_node("Slice", [f"{name}/here", start, end], [f"{name}/images"]),
        helper.make_node("Concat", [f"{name}/images", rest], [f"{name}/shape"], axis=0),
        helper.make_node("Expand", [row_name, f"{name}/shape"], [name]),
    ]


def _of_interest(model: onnx.ModelProto) -> list[str]:
    nodes = [node for node in model.graph.node if node.op_type in ("Reshape", "Resize", "Squeeze")]
    return [name for node in nodes for name in (node.input[0], node.output[0])]


def _free_reshape(model: onnx.ModelProto, node: onnx.NodeProto, known: Shapes) -> None:
    """Write -1 for the first dimension: the batch size, or a multiple of it, stays first.

    A vector that was made of one image gets its batch dimension back.
    """
    shape = known.get(node.output[0])
    if shape and 0 not in shape:
        before = known.get(node.input[0], ())
        if len(shape) == 1 and len(before) > 1 and before[0] == 1:
            shape = (1, *shape)
        node.input[1] = add_constant(model, f"{node.output[0]}/shape", np.array([-1, *shape[1:]], np.int64))


def _free_squeeze(model: onnx.ModelProto, node: onnx.NodeProto, known: Shapes) -> None:
    """Name the axes that are left out, all of size 1 but the batch."""
    shape = known.get(node.input[0])
    if shape and shape[0] == 1:
        axes = [axis for axis, size in enumerate(shape) if size == 1 and axis > 0]
        node.input.append(add_constant(model, f"{node.output[0]}/axes", np.array(axes, np.int64)))


def _free_constants(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], images: int
) -> None:
    """Keep one row of a constant that repeats it for every image."""
    for slot, name in enumerate(node.input):
        if name in constants and len(constants[name].dims) == 4 and constants[name].dims[0] == images:
            value = numpy_helper.to_array(constants[name])
            if (value == value[:1]).all():
                node.input[slot] = add_constant(model, f"{node.output[0]}/one/{slot}", value[:1].copy())


def _free_expand(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], images: int
) -> None:
    """Write 1 for the first dimension, where it is that of the images: Expand then keeps the tensor's own."""
    shape = numpy_helper.to_array(constants[node.input[1]]).copy()
    if shape.size > 1 and shape[0] == images:
        shape[0] = 1
        node.input[1] = add_constant(model, f"{node.output[0]}/shape", shape)


def _free_resize(model: onnx.ModelProto, node: onnx.NodeProto, known: Shapes) -> list[onnx.NodeProto]:
    """Write scales instead of sizes if they are exact; else return what computes sizes of the batch."""
    before, after = known.get(node.input[0]), known.get(node.output[0])
    if before is None or after is None:
        return []
    if all(new % old == 0 for old, new in zip(before, after, strict=True)):
        scales = np.array([new / old for old, new in zip(before, after, strict=True)], np.float32)
        node.input[2] = add_constant(model, f"{node.output[0]}/scales", scales)
        del node.input[3:]
        return []
    name = node.output[0]
    ends = [
        add_constant(model, f"{name}/{word}", np.array([k], np.int64)) for word, k in (("from", 0), ("to", 1))
    ]
    sides = add_constant(model, f"{name}/sides", np.array(after[1:], np.int64))
    node.input[3] = f"{name}/sizes"
    return [
        helper.make_node("Shape", [node.input[0]], [f"{name}/here"]),
        helper.make_node("Slice", [f"{name}/here", *ends], [f"{name}/images"]),
        helper.make_node("Concat", [f"{name}/images", sides], [f"{name}/sizes"], axis=0),
    ]
