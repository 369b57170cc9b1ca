"""Lets convolutions and pools pad themselves where a Pad stands in front of them, as Keras writes it.

A convolution sums zeros, an average counts them (`count_include_pad`), and the largest of numbers from 0 on
is the same with zeros beside them as without.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.onnx_graph import attribute, set_attribute
from pipeline.models.foreign.node_readers import readers_by_tensor
from pipeline.models.foreign.normal_form.explicit_padding import known_shapes
from pipeline.models.foreign.replaced_nodes import replace_nodes

FROM_ZERO_ON = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs"})
KEEPS_SIGNS = frozenset({"MaxPool", "AveragePool", "Identity", "Dropout", "Add", "Mul", "Concat"})
"""Operators whose results are not negative if their input is not."""
Constants = dict[str, NDArray[Any]]


def merge_padding(model: onnx.ModelProto) -> None:
    """Take out every Pad of height and width that all of its readers can do themselves."""
    graph = model.graph
    outputs = {value.name for value in graph.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    readers = readers_by_tensor(graph)
    from_zero_on = {name for name, value in constants.items() if (value >= 0).all()}
    nothing: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:  # what computes a tensor stands in front of what reads it
        if _is_from_zero_on(node, constants, from_zero_on):
            from_zero_on.update(node.output)
        found = _border(node, constants) if node.op_type == "Pad" and node.output[0] not in outputs else None
        if found is None:
            continue
        pads, value = found
        floor = value == -np.inf or (value == 0 and node.input[0] in from_zero_on)
        if all(_can_pad(one, node.output[0], pads, value, floor) for one in readers[node.output[0]]):
            for one in readers[node.output[0]]:
                _pad(one, pads, node.input[0])
            nothing[node.output[0]] = []
    replace_nodes(graph, nothing)


def _pad(node: onnx.NodeProto, pads: list[int], source: str) -> None:
    """Let a node pad by itself what it reads without a Pad."""
    set_attribute(node, "pads", np.add(attribute(node, "pads", [0] * 4), pads).tolist())
    if node.op_type == "AveragePool":
        set_attribute(node, "count_include_pad", 1)
    node.input[0] = source


def write_averages_over_padding(model: onnx.ModelProto) -> None:
    """Write averages that count their padding, in windows that may reach beyond it, with a Pad in front.

    Cells beyond the padding do not count, those of the padding do. Behind a Pad, only cells inside count.
    """
    nodes = [
        node
        for node in model.graph.node
        if node.op_type == "AveragePool"
        and attribute(node, "ceil_mode", 0)
        and attribute(node, "count_include_pad", 0)
    ]
    if not nodes:
        return
    known = known_shapes(model, [node.input[0] for node in nodes])
    made = {}
    for node in nodes:
        kernel, stride = (np.array(attribute(node, name, [1, 1])) for name in ("kernel_shape", "strides"))
        begin, end = np.array(attribute(node, "pads", [0] * 4)).reshape(2, 2)
        here = np.array(known[node.input[0]][2:])
        last = -(-(here + begin + end - kernel) // stride)
        last -= last * stride >= here + begin  # a window has to begin inside, or in the padding before
        reached = np.clip(last * stride + kernel - here - begin, 0, end)
        set_attribute(node, "count_include_pad", 0)
        set_attribute(node, "pads", [0] * 4)
        if begin.any() or reached.any():
            pads = np.array([0, 0, *begin, 0, 0, *reached], np.int64)
            made[node.output[0]] = _with_a_pad_in_front(model.graph, node, pads)
    replace_nodes(model.graph, made)


def _with_a_pad_in_front(
    graph: onnx.GraphProto, node: onnx.NodeProto, pads: NDArray[np.int64]
) -> list[onnx.NodeProto]:
    name = f"{node.output[0]}/padded"
    graph.initializer.append(numpy_helper.from_array(pads, f"{name}/pads"))
    pad = onnx.helper.make_node("Pad", [node.input[0], f"{name}/pads"], [name], name)
    node.input[0] = name
    return [pad, node]


def _border(node: onnx.NodeProto, constants: Constants) -> tuple[list[int], float] | None:
    """Return top, left, bottom and right of a Pad with one value, and that; None for any other."""
    given = [constants.get(name) for name in node.input[1:3] if name]
    if attribute(node, "mode", b"constant") != b"constant" or not given or any(one is None for one in given):
        return None
    amounts, *values = [one.ravel().tolist() for one in given if one is not None]
    if len(amounts) != 8 or any(amounts[i] for i in (0, 1, 4, 5)) or min(amounts) < 0:
        return None
    return [*amounts[2:4], *amounts[6:8]], float(values[0][0]) if values else 0.0


def _can_pad(node: onnx.NodeProto, tensor: str, pads: list[int], value: float, floor: bool) -> bool:
    """Whether a reader can pad by itself. `floor`: no number of the map is below the border's value."""
    if node.input[0] != tensor or tensor in node.input[1:]:
        return False
    if node.op_type == "Conv":
        return value == 0 and attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"")
    own = attribute(node, "pads", [0] * 4)
    counts = not any(own) or bool(attribute(node, "count_include_pad", 0))
    same = (value == 0 and counts) if node.op_type == "AveragePool" else (floor and len(node.output) == 1)
    return node.op_type in ("AveragePool", "MaxPool") and same and _holds_a_cell(node, np.add(own, pads))


def _holds_a_cell(node: onnx.NodeProto, pads: NDArray[np.int64]) -> bool:
    """Whether every window of a pool with these pads has a cell of the map in it."""
    plain = attribute(node, "auto_pad", b"NOTSET") in (b"NOTSET", b"") and not attribute(node, "ceil_mode", 0)
    kernel = attribute(node, "kernel_shape", [])
    dense = set(attribute(node, "dilations", [1])) == {1}
    return plain and dense and len(kernel) == 2 and bool((pads < [*kernel, *kernel]).all())


def _is_from_zero_on(node: onnx.NodeProto, constants: Constants, known: Collection[str]) -> bool:
    """Whether no number that a node computes is below 0; the same is known of tensors in front of it."""
    if node.op_type in FROM_ZERO_ON:
        return True
    if node.op_type == "Clip":
        low = constants.get(node.input[1]) if len(node.input) > 1 else None
        return low is not None and bool((low >= 0).all())
    read = node.input if node.op_type in ("Add", "Mul", "Concat") else node.input[:1]
    return node.op_type in KEEPS_SIGNS and all(name in known for name in read)
