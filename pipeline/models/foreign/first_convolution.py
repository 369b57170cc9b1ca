"""Ensures that one ordinary convolution reads the pixels, so that later stages can fold the normalisation.

Padding in front of it becomes the convolution's own, and another channel order is applied to its weights. If
a network begins with another operator, or with several layers in parallel, a 1 x 1 identity convolution is
inserted. Convolutions of which only the sum is read become one.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.onnx_graph import attribute
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.normalisation import Border, Start
from pipeline.models.foreign.summed_convolutions import merge_summed_convolutions

TO_NHWC = (0, 2, 3, 1)


def begin_with_a_convolution(graph: onnx.GraphProto, start: Start, say: Callable[[str], None]) -> Start:
    """Rewrite the readers of the start, and return the start in RGB; `say` is called with what was added."""
    if start.nhwc:
        start = _turn_back(graph, start)
    if start.border is not None:
        start = _pad_again(graph, start, start.border)
    merge_summed_convolutions(graph, start.tensor)
    _count_images_behind(graph, start.tensor)
    first = _only_convolution(graph, start.tensor)
    if first is None:
        readers = sorted({node.op_type for node in graph.node if start.tensor in node.input})
        say(f"import: a 1 x 1 identity convolution is inserted before the first {', '.join(readers)}")
        first, start = _add_one(graph, start)
    _read_in_rgb(graph, first, start.order)
    place = np.argsort(start.order)
    every = len(start.order)
    scale, offset = (np.broadcast_to(values, every)[place] for values in (start.scale, start.offset))
    return replace(start, scale=scale, offset=offset, order=tuple(range(every)))


def _turn_back(graph: onnx.GraphProto, start: Start) -> Start:
    """Put a Transpose to NHWC in front of what reads NHWC."""
    name = f"{start.tensor}/nchw"
    graph.node.insert(0, helper.make_node("Transpose", [name], [start.tensor], name, perm=TO_NHWC))
    return replace(start, tensor=name, nhwc=False)


def _pad_again(graph: onnx.GraphProto, start: Start, border: Border) -> Start:
    """Move a border into the convolutions behind it, or put a Pad in front of other readers.

    They pad with zero: where the border has another value, that is taken from the start's offset, and added
    to what is behind the border.
    """
    value = np.broadcast_to(border.value, len(start.order))
    convolutions = [node for node in graph.node if start.tensor in node.input]
    if not all(_is_plain(graph, node) and (not value.any() or _pads_nothing(node)) for node in convolutions):
        convolutions = []
        _add_pad(graph, start.tensor, border, value)
    for node in convolutions:
        pads = np.add(attribute(node, "pads", [0, 0, 0, 0]), border.pads).tolist()
        kept = [one for one in node.attribute if one.name != "pads"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])
        if value.any():
            _add_to_bias(graph, node, value)
    tensor = start.tensor if convolutions else f"{start.tensor}/unpadded"
    return replace(start, tensor=tensor, offset=start.offset - value, border=None)


def _add_pad(graph: onnx.GraphProto, tensor: str, border: Border, value: NDArray[np.float64]) -> None:
    top, left, bottom, right = border.pads
    pads = _constant(graph, f"{tensor}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    padded = f"{tensor}/padded"
    added = _constant(graph, f"{tensor}/border", value.astype(np.float32).reshape(1, -1, 1, 1))
    graph.node.insert(0, helper.make_node("Pad", [f"{tensor}/unpadded", pads], [padded], padded))
    graph.node.insert(1, helper.make_node("Add", [padded, added], [tensor], f"{tensor}/border_added"))


def _add_to_bias(graph: onnx.GraphProto, node: onnx.NodeProto, value: NDArray[np.float64]) -> None:
    """Add to the bias the sum that a constant in each input channel gives over the whole kernel."""
    weight = _weight(graph, node).astype(np.float64)
    groups = int(attribute(node, "group", 1))
    spread = value.reshape(groups, -1).repeat(len(weight) // groups, axis=0)  # [K, C / groups]
    added = (weight.sum(axis=(2, 3)) * spread).sum(axis=1)
    old = _values(graph)[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros(len(weight))
    bias = _constant(graph, f"{node.output[0]}/bias", (old + added).astype(np.float32))
    node.input[:] = [*node.input[:2], bias]


def _count_images_behind(graph: onnx.GraphProto, tensor: str) -> None:
    """Let what asks a tensor for the number of images ask the only other reader's result.

    Exporters ask the input, which then had two readers.
    """
    asking = [node for node in graph.node if node.op_type == "Shape" and tensor in node.input]
    others = [node for node in graph.node if tensor in node.input and node.op_type != "Shape"]
    if not asking or len(others) != 1 or not _ask_for_images(graph, asking):
        return
    (other,) = others
    if not _is_plain(graph, other):
        return
    for node in asking:
        node.input[0] = other.output[0]
    nodes = [other, *(node for node in graph.node if node.output != other.output)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _ask_for_images(graph: onnx.GraphProto, shapes: list[onnx.NodeProto]) -> bool:
    """Whether only the first number of each of these shapes is read."""
    stored, readers = {tensor.name: tensor for tensor in graph.initializer}, readers_by_tensor(graph)

    def is_first(node: onnx.NodeProto) -> bool:
        known = [numpy_helper.to_array(stored[name]) for name in node.input[1:3] if name in stored]
        given = [value.ravel().tolist() for value in known]
        return given == {"Gather": [[0]], "Slice": [[0], [1]]}.get(node.op_type)

    return all(
        (attribute(shape, "start", 0) == 0 and attribute(shape, "end", None) == 1)
        or all(map(is_first, readers[shape.output[0]]))
        for shape in shapes
    )


def _only_convolution(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    """Return the reader of a tensor if it is a single convolution, and the tensor is not an output."""
    readers = [node for node in graph.node if tensor in node.input]
    is_one = len(readers) == 1 and _is_plain(graph, readers[0])
    return readers[0] if is_one and tensor not in {value.name for value in graph.output} else None


def _is_plain(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    """Whether it is a convolution with constant weights that pads by numbers from 0 on."""
    constant = {tensor.name for tensor in graph.initializer}
    return (
        node.op_type == "Conv"
        and set(node.input[1:]) <= constant | {""}
        and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
        and min(attribute(node, "pads", [0])) >= 0
    )


def _pads_nothing(node: onnx.NodeProto) -> bool:
    return not any(attribute(node, "pads", [0]))


def _add_one(graph: onnx.GraphProto, start: Start) -> tuple[onnx.NodeProto, Start]:
    name, channels = f"{start.tensor}/before", len(start.order)
    same = np.eye(channels, dtype=np.float32).reshape(channels, channels, 1, 1)
    weight = _constant(graph, f"{start.tensor}/same", same)
    node = helper.make_node("Conv", [name, weight], [start.tensor], f"{start.tensor}/as_it_is")
    graph.node.insert(0, node)
    return graph.node[0], replace(start, tensor=name)


def _read_in_rgb(graph: onnx.GraphProto, node: onnx.NodeProto, order: tuple[int, ...]) -> None:
    """Reorder the weights' input channels, and merge groups, where needed."""
    groups = int(attribute(node, "group", 1))
    if groups == 1 and order == tuple(range(len(order))):
        return
    weight = _weight(graph, node)
    whole = np.zeros((len(weight), len(order), *weight.shape[2:]), np.float32)
    for kernel in range(len(weight)):
        first = kernel // (len(weight) // groups) * weight.shape[1]
        for plane in range(weight.shape[1]):
            whole[kernel, order[first + plane]] = weight[kernel, plane]
    node.input[1] = _constant(graph, f"{node.output[0]}/of_rgb", whole)
    kept = [one for one in node.attribute if one.name != "group"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _weight(graph: onnx.GraphProto, node: onnx.NodeProto) -> NDArray[np.float32]:
    return np.asarray(_values(graph)[node.input[1]], np.float32)


def _values(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _constant(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> str:
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name
