"""Faults of what a network computes: windows, activations, operands, channel order, outputs.

Each public function plants one and returns the name of the node or tensor that it changed, or None where a
network has no place for it.
"""

import numpy as np
import onnx
from onnx import helper

from benchmarks.planted.rewiring import (
    Model,
    Rng,
    attribute,
    constants,
    insert_behind,
    nodes,
    one_of,
    producer,
    set_attribute,
    weight_of,
)


def padding_side(model: Model, rng: Rng) -> str | None:
    """Pad on the far side only, as SAME_UPPER does with stride 2."""
    padded = [n for n in nodes(model, "Conv", "MaxPool") if list(attribute(n, "pads", [])) == [1, 1, 1, 1]]
    strided = [n for n in padded if max(attribute(n, "strides", [1, 1])) > 1]
    node = one_of(strided or padded, rng)
    if node is None:
        return None
    set_attribute(node, "pads", [0, 0, 2, 2])
    return str(node.output[0])


def dilated(model: Model, rng: Rng) -> str | None:
    """Dilate a convolution, with the padding that keeps its size."""
    found = [
        n
        for n in nodes(model, "Conv")
        if list(attribute(n, "pads", [])) == [1, 1, 1, 1]
        and max(attribute(n, "dilations", [1, 1])) == 1
        and list(attribute(n, "kernel_shape", [])) == [3, 3]
    ]
    node = one_of(found, rng)
    if node is None:
        return None
    set_attribute(node, "dilations", [2, 2])
    set_attribute(node, "pads", [2, 2, 2, 2])
    return str(node.output[0])


def no_activation(model: Model, rng: Rng) -> str | None:
    """Leave out an activation."""
    node = one_of(nodes(model, "Relu", "Clip", "HardSwish"), rng)
    if node is None:
        return None
    node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name))
    return str(node.output[0])


def other_activation(model: Model, rng: Rng) -> str | None:
    """Take a leaky ReLU for a ReLU."""
    node = one_of(nodes(model, "Relu"), rng)
    if node is None:
        return None
    node.CopyFrom(helper.make_node("LeakyRelu", [node.input[0]], [node.output[0]], node.name, alpha=0.2))
    return str(node.output[0])


def moved_activation(model: Model, rng: Rng) -> str | None:
    """Compute a ReLU on the layer in front of a sum instead of on the sum, as a fusion that skips the sum."""
    known = constants(model)
    found = []
    for relu in nodes(model, "Relu"):
        add = producer(model, relu.input[0])
        if add is None or add.op_type != "Add" or any(name in known for name in add.input):
            continue
        layers = [source for name in add.input if (source := _in_front(model, name)).op_type == "Conv"]
        found += [(relu, layer) for layer in layers]
    chosen = one_of(found, rng)
    if chosen is None:
        return None
    relu, layer = chosen
    relu.CopyFrom(helper.make_node("Identity", [relu.input[0]], [relu.output[0]], relu.name))
    insert_behind(model, layer.output[0], [("Relu", [], {})])
    return str(layer.output[0])


def _in_front(model: Model, tensor: str) -> onnx.NodeProto:
    """Return what computes a tensor, through QuantizeLinear and DequantizeLinear."""
    source = producer(model, tensor)
    while source is not None and source.op_type in ("QuantizeLinear", "DequantizeLinear"):
        tensor = source.input[0]
        source = producer(model, tensor)
    return source if source is not None else onnx.NodeProto()


def no_residual(model: Model, rng: Rng) -> str | None:
    """Leave out a skip connection."""
    known = constants(model)
    adds = [n for n in nodes(model, "Add") if not any(name in known for name in n.input)]
    node = one_of(adds, rng)
    if node is None:
        return None
    node.CopyFrom(helper.make_node("Identity", [node.input[0]], [node.output[0]], node.name))
    return str(node.output[0])


def half_overflow(model: Model, rng: Rng) -> str | None:
    """Compute a tensor in half precision, where its largest values leave the range."""
    node = one_of(nodes(model, "Relu", "Clip", "Add"), rng)
    if node is None:
        return None
    factor = np.float32(rng.uniform(2e4, 6e4))
    insert_behind(
        model,
        node.output[0],
        [
            ("Mul", [np.asarray(factor)], {}),
            ("Cast", [], {"to": onnx.TensorProto.FLOAT16}),
            ("Cast", [], {"to": onnx.TensorProto.FLOAT}),
            ("Mul", [np.asarray(1 / factor)], {}),
        ],
    )
    return str(node.output[0])


def shuffled_channels(model: Model, rng: Rng) -> str | None:
    """Put the channels of a tensor into another order, as a wrong layout does."""
    node = one_of(nodes(model, "Relu", "Clip"), rng)
    if node is None:
        return None
    reader = next((n for n in nodes(model, "Conv") if _reads(model, n, node.output[0])), None)
    weight = None if reader is None or attribute(reader, "group", 1) != 1 else weight_of(model, reader)
    if weight is None:
        return None
    insert_behind(model, node.output[0], [("Gather", [rng.permutation(weight[1].shape[1])], {"axis": 1})])
    return str(node.output[0])


def _reads(model: Model, node: onnx.NodeProto, tensor: str) -> bool:
    """Whether a node reads a tensor, directly or through QuantizeLinear and DequantizeLinear."""
    name = node.input[0]
    while name != tensor:
        source = producer(model, name)
        if source is None or source.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            return False
        name = source.input[0]
    return True


def other_pooling(model: Model, rng: Rng) -> str | None:
    """Take the maximum where the mean is wanted."""
    node = one_of(nodes(model, "GlobalAveragePool"), rng)
    if node is None:
        return None
    node.op_type = "GlobalMaxPool"
    return str(node.output[0])


def resize_corners(model: Model, rng: Rng) -> str | None:
    """Align corners in a Resize that does not, or the reverse."""
    node = one_of(nodes(model, "Resize"), rng)
    if node is None:
        return None
    now = attribute(node, "coordinate_transformation_mode", b"half_pixel")
    set_attribute(
        node, "coordinate_transformation_mode", "half_pixel" if now == b"align_corners" else "align_corners"
    )
    set_attribute(node, "mode", "linear")
    return str(node.output[0])


def class_order(model: Model, rng: Rng) -> str | None:
    """Number the classes in another order."""
    output = model.graph.output[0]
    count = output.type.tensor_type.shape.dim[1].dim_value
    if count < 3:
        return None
    insert_behind(model, output.name, [("Gather", [rng.permutation(count)], {"axis": 1})])
    return str(output.name)


def softmax(model: Model, _: Rng) -> str:
    """Put a softmax behind the logits."""
    name = model.graph.output[0].name
    insert_behind(model, name, [("Softmax", [], {"axis": 1})])
    return str(name)
