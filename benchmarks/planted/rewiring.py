"""Small changes of an ONNX graph that planted faults are made of."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Model = onnx.ModelProto
Array = NDArray[Any]
Rng = np.random.Generator
Drawn = TypeVar("Drawn")


def constants(model: Model) -> dict[str, Array]:
    """Return every initialiser and Constant node by name."""
    found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def set_constant(model: Model, name: str, value: Array) -> None:
    """Replace a constant's value; the graph keeps it as an initialiser."""
    if any(node.op_type == "Constant" and node.output[0] == name for node in model.graph.node):
        kept = [n for n in model.graph.node if not (n.op_type == "Constant" and n.output[0] == name)]
        del model.graph.node[:]
        model.graph.node.extend(kept)
    others = [one for one in model.graph.initializer if one.name != name]
    del model.graph.initializer[:]
    model.graph.initializer.extend([*others, numpy_helper.from_array(np.asarray(value, order="C"), name)])


def producer(model: Model, tensor: str) -> onnx.NodeProto | None:
    """Return the node that computes `tensor`."""
    return next((node for node in model.graph.node if tensor in node.output), None)


def nodes(model: Model, *types: str) -> list[onnx.NodeProto]:
    """Return the nodes of some types, in the order of the graph."""
    return [node for node in model.graph.node if node.op_type in types]


def insert_behind(
    model: Model, tensor: str, steps: Sequence[tuple[str, Sequence[Array], dict[str, Any]]]
) -> None:
    """Let every reader of `tensor` read what `steps` compute of it: (operator, constants, attributes).

    A graph input is read through the steps too; a graph output keeps its name.
    """
    at = next((i + 1 for i, node in enumerate(model.graph.node) if tensor in node.output), 0)
    readers = list(model.graph.node)
    is_output = tensor in {one.name for one in model.graph.output}
    before, added = f"{tensor}/planted_from" if is_output else tensor, []
    for node in readers if is_output else ():
        if tensor in node.output:
            node.output[list(node.output).index(tensor)] = before
    source = before
    for number, (operator, values, attributes) in enumerate(steps):
        after = f"{tensor}/planted{number}"
        names = []
        for place, value in enumerate(values):
            names.append(f"{after}/constant{place}")
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), names[-1]))
        added.append(helper.make_node(operator, [before, *names], [after], after, **attributes))
        before = after
    if is_output:
        added[-1].output[0] = tensor
        before = tensor
    _read_instead(readers, source, before)
    for offset, node in enumerate(added):
        model.graph.node.insert(at + offset, node)


def _read_instead(readers: list[onnx.NodeProto], tensor: str, other: str) -> None:
    for node in readers:
        for slot, name in enumerate(node.input):
            if name == tensor:
                node.input[slot] = other


def weight_of(model: Model, layer: onnx.NodeProto) -> tuple[str, Array] | None:
    """Return a layer's constant weight, the integers in front of its DequantizeLinear if it has one."""
    known = constants(model)
    source = producer(model, layer.input[1])
    name = source.input[0] if source is not None and source.op_type == "DequantizeLinear" else layer.input[1]
    return (name, known[name]) if name in known else None


def known_weight(model: Model, layer: onnx.NodeProto) -> tuple[str, Array]:
    """Return the constant weight of a layer that has one."""
    found = weight_of(model, layer)
    if found is None:
        raise ValueError(f"{layer.name} has no constant weight")
    return found


def weight_scale(model: Model, layer: onnx.NodeProto) -> tuple[str, Array] | None:
    """Return the scales of a quantised weight."""
    source = producer(model, layer.input[1])
    if source is None or source.op_type != "DequantizeLinear":
        return None
    known = constants(model)
    return source.input[1], known[source.input[1]]


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:  # noqa: ANN401 -- as ONNX attributes are
    """Return a node's attribute, or `default` where it has none of this name."""
    found = [helper.get_attribute_value(one) for one in node.attribute if one.name == name]
    return found[0] if found else default


def set_attribute(node: onnx.NodeProto, name: str, value: object) -> None:
    """Give a node's attribute another value."""
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def one_of(found: Sequence[Drawn], rng: Rng) -> Drawn | None:
    """Draw one, or return None where there is none."""
    return found[int(rng.integers(len(found)))] if found else None
