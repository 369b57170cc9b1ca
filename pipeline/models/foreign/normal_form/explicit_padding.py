"""Writes padding that a node computes from its input (auto_pad, output_shape) as explicit pads.

The amount follows from the sizes in front of and behind the node. SAME_UPPER and SAME_LOWER define which side
gets the odd one (ONNX Operators.md: Conv, ConvTranspose, MaxPool).
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, shape_inference

from calibration.onnx_graph import attribute
from pipeline.models.foreign.normal_form.known_shapes import Shapes, shapes

WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")
BY_ITSELF = ("auto_pad", "output_shape")


def write_padding_down(model: onnx.ModelProto) -> None:
    """Give every convolution and pool explicit pads; the size of the images has to be known.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    nodes = [node for node in model.graph.node if node.op_type in WINDOWS and _pads_itself(node)]
    if not nodes:
        return
    known = known_shapes(model, [name for node in nodes for name in (node.input[0], node.output[0])])
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in nodes:
        kernel = attribute(node, "kernel_shape", None)
        if kernel is None and len(node.input) > 1 and node.input[1] in weights:
            kernel = list(weights[node.input[1]].dims[2:])
        if kernel is not None:
            _write(node, kernel, known)


def pads_unlike_onnxruntime(model: onnx.ModelProto) -> bool:
    """Whether a node asks for SAME with dilations: ONNX defines it, onnxruntime refuses it."""
    return any(
        _pads_itself(node) and any(step != 1 for step in attribute(node, "dilations", []))
        for node in model.graph.node
        if node.op_type in WINDOWS
    )


def known_shapes(model: onnx.ModelProto, names: Sequence[str]) -> Shapes:
    """Return the shapes of maps as ONNX infers them, or, where it does not, as onnxruntime computes them."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    known = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in [*graph.value_info, *graph.input, *graph.output]
    }
    found = {name: known[name] for name in names if len(known.get(name, ())) > 2 and all(known[name][2:])}
    open_ones = [name for name in names if name not in found]
    return found | (shapes(model, open_ones, 1) if open_ones else {})


def _pads_itself(node: onnx.NodeProto) -> bool:
    automatic = attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"")
    return automatic or attribute(node, "output_shape", None) is not None


def _write(node: onnx.NodeProto, kernel: Sequence[int], known: Shapes) -> None:
    automatic = attribute(node, "auto_pad", b"NOTSET")
    ones = [1] * len(kernel)
    stride, dilation = (np.array(attribute(node, name, ones)) for name in ("strides", "dilations"))
    reach = (np.array(kernel) - 1) * dilation + 1
    here, there = (np.array(known[name][2:]) for name in (node.input[0], node.output[0]))
    more = np.zeros_like(reach)
    if node.op_type == "ConvTranspose":
        more = np.array(attribute(node, "output_padding", [0] * len(kernel)))
        total = (here - 1) * stride + more + reach - there
    elif automatic == b"VALID":
        total = np.zeros_like(reach)
    else:
        total = (there - 1) * stride + reach - here
    more, total = more + np.maximum(-total, 0), np.maximum(total, 0)
    begin = total // 2 if automatic == b"SAME_UPPER" else total - total // 2
    kept = [one for one in node.attribute if one.name not in (*BY_ITSELF, "pads", "output_padding")]
    if automatic != b"VALID":
        kept = [one for one in kept if one.name != "ceil_mode"]  # the sizes are those with the pads
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.append(helper.make_attribute("pads", [*begin.tolist(), *(total - begin).tolist()]))
    if node.op_type == "ConvTranspose" and more.any():
        node.attribute.append(helper.make_attribute("output_padding", more.tolist()))
