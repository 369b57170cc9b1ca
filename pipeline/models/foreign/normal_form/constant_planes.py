"""Takes planes that are equal for every image, such as CoordConv's coordinates, out of convolutions.

A convolution is a sum over its input's channels. The part of the constant channels is a constant map, which
is added behind it. Then no constant has to be repeated for every image.
"""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.normal_form.known_shapes import (
    independent_of_values,
    shapes,
    values,
)


def take_out_constant_planes(model: onnx.ModelProto) -> None:
    """Rewrite every Concat of maps and constant planes that only convolutions read.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    alike = independent_of_values(model.graph) | {tensor.name for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "Concat"]:
        readers = [reader for reader in model.graph.node if node.output[0] in reader.input]
        apart = [name for name in node.input if name in alike]
        of_channels = attribute(node, "axis", 1) in (1, -3) and 0 < len(apart) < len(node.input)
        if of_channels and readers and all(_is_whole(model, reader) for reader in readers):
            _take_out(model, node, readers, apart)


def _is_whole(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    weights = {tensor.name for tensor in model.graph.initializer}
    return node.op_type == "Conv" and attribute(node, "group", 1) == 1 and node.input[1] in weights


def _take_out(
    model: onnx.ModelProto, node: onnx.NodeProto, readers: list[onnx.NodeProto], apart: list[str]
) -> None:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    names = [name for name in dict.fromkeys(node.input) if name not in constants]
    sizes = shapes(model, names, 1)
    planes = constants | values(model, [name for name in apart if name not in constants], 1)
    channels = [planes[name].shape[1] if name in apart else sizes[name][1] for name in node.input]
    is_map = np.repeat([name not in apart for name in node.input], channels)
    whole = np.concatenate([planes[name][:1] for name in node.input if name in apart], axis=1)
    kept = [name for name in node.input if name not in apart]
    source = kept[0]
    if len(kept) > 1:
        source = f"{node.output[0]}/maps"
        model.graph.node.insert(
            list(model.graph.node).index(node), helper.make_node("Concat", kept, [source], source, axis=1)
        )
    for reader in readers:
        weight = constants[reader.input[1]]
        added = _convolved(reader, whole.astype(np.float32), weight[:, ~is_map])
        output = reader.output[0]
        new = {f"{output}/of_maps": np.ascontiguousarray(weight[:, is_map]), f"{output}/constant": added}
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in new.items())
        reader.input[0], reader.input[1] = source, f"{output}/of_maps"
        reader.output[0] = f"{output}/without_constant"
        add = helper.make_node(
            "Add", [reader.output[0], f"{output}/constant"], [output], f"{output}/add_constant"
        )
        model.graph.node.insert(list(model.graph.node).index(reader) + 1, add)
    model.graph.node.remove(node)


def _convolved(
    node: onnx.NodeProto, planes: NDArray[np.float32], weight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what the convolution, without its bias, makes of constant planes [1, C, H, W]."""
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    alone.input[:], alone.output[:] = ["planes", "weight"], ["map"]
    graph = helper.make_graph(
        [alone],
        "planes",
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, planes.shape)],
        [helper.make_empty_tensor_value_info("map")],
        [numpy_helper.from_array(np.ascontiguousarray(weight), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["map"], {"planes": planes})[0], np.float32)
