"""Takes planes that are equal for every image, such as CoordConv's coordinates, out of convolutions.

A convolution is a sum over its input's channels. The part of the constant channels is a constant map, which
is added behind it. Then no constant has to be repeated for every image.
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.normal_form.known_shapes import (
    Shapes,
    independent_of_values,
    shapes,
    values,
)
from pipeline.models.foreign.replaced_nodes import replace_nodes


def take_out_constant_planes(model: onnx.ModelProto) -> None:
    """Rewrite every Concat of maps and constant planes that only convolutions read.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    alike = independent_of_values(model.graph) | weights.keys()
    found = []
    read_by = readers_by_tensor(model.graph)
    for node in model.graph.node:
        if node.op_type != "Concat":
            continue
        readers = read_by[node.output[0]]
        apart = [name for name in node.input if name in alike]
        of_channels = attribute(node, "axis", 1) in (1, -3) and 0 < len(apart) < len(node.input)
        if of_channels and readers and all(_is_whole(reader, weights) for reader in readers):
            found.append((node, readers))
    read = list(dict.fromkeys(name for node, _ in found for name in node.input))
    planes = values(model, [name for name in read if name in alike and name not in weights], 1)
    planes |= {name: numpy_helper.to_array(weights[name]) for name in read if name in weights}
    sizes = shapes(model, [name for name in read if name not in alike], 1)
    made: dict[str, list[onnx.NodeProto]] = {}
    for node, readers in found:
        made |= _taken_out(model.graph, node, readers, planes, sizes, weights)
    replace_nodes(model.graph, made)


def _is_whole(node: onnx.NodeProto, weights: Collection[str]) -> bool:
    return node.op_type == "Conv" and attribute(node, "group", 1) == 1 and node.input[1] in weights


def _taken_out(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    readers: list[onnx.NodeProto],
    planes: Mapping[str, NDArray[np.generic]],
    sizes: Shapes,
    weights: Mapping[str, onnx.TensorProto],
) -> dict[str, list[onnx.NodeProto]]:
    """Return what stands in the place of a Concat and of the convolutions that read it."""
    apart = [name for name in node.input if name in planes]
    channels = [planes[name].shape[1] if name in planes else sizes[name][1] for name in node.input]
    is_map = np.repeat([name not in apart for name in node.input], channels)
    whole = np.concatenate([planes[name][:1] for name in node.input if name in apart], axis=1)
    kept = [name for name in node.input if name not in apart]
    source = kept[0]
    made: dict[str, list[onnx.NodeProto]] = {node.output[0]: []}
    if len(kept) > 1:
        source = f"{node.output[0]}/maps"
        made[node.output[0]] = [helper.make_node("Concat", kept, [source], source, axis=1)]
    for reader in readers:
        weight = numpy_helper.to_array(weights[reader.input[1]])
        added = _convolved(reader, whole.astype(np.float32), weight[:, ~is_map])
        output = reader.output[0]
        new = {f"{output}/of_maps": np.ascontiguousarray(weight[:, is_map]), f"{output}/constant": added}
        graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in new.items())
        reader.input[0], reader.input[1] = source, f"{output}/of_maps"
        reader.output[0] = f"{output}/without_constant"
        add = helper.make_node(
            "Add", [reader.output[0], f"{output}/constant"], [output], f"{output}/add_constant"
        )
        made[reader.output[0]] = [reader, add]
    return made


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
