"""Replaces an If by its branch, where the size of the images decides the condition.

torch writes an If where it squeezes a dimension that might not be 1. The graph is run with one image and with
two: where both decide alike, the other branch is never taken.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.normal_form.known_shapes import independent_of_values, values


def write_decided_branches(model: onnx.ModelProto) -> None:
    """Replace every If whose condition is the same for one image and for two, and those inside it.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    while decided := list(_decided(model)):
        for node, branch in decided:
            _replace(model.graph, node, branch)
        del model.graph.value_info[:]


def refuse_open_branches(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError for an If that is still there: the images or their number decide it."""
    for node in model.graph.node:
        if node.op_type == "If":
            raise CheckpointError(
                f"{path}: the If {node.name or node.output[0]!r} chooses what is computed by an image's"
                " values or by how many images there are, which edgec does not compile. Export the network"
                " by tracing, which keeps one branch."
            )


def _decided(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.GraphProto]]:
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known = {*independent_of_values(model.graph), *constants}
    nodes = [node for node in model.graph.node if node.op_type == "If" and node.input[0] in known]
    names = [node.input[0] for node in nodes if node.input[0] not in constants]
    for_one, for_two = (constants | values(model, names, images) for images in (1, 2))
    for node in nodes:
        one, two = (bool(np.all(found[node.input[0]])) for found in (for_one, for_two))
        if one == two:
            yield node, attribute(node, "then_branch" if one else "else_branch", None)


def _replace(graph: onnx.GraphProto, node: onnx.NodeProto, branch: onnx.GraphProto) -> None:
    """Put the branch's nodes where the If is, under names that begin with its own."""
    made = {name for inner in branch.node for name in inner.output}
    made |= {tensor.name for tensor in branch.initializer}
    renamed = {name: f"{node.output[0]}/{name}" for name in made}
    for given, output in zip(branch.output, node.output, strict=True):
        if given.name in made:
            renamed[given.name] = output
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for tensor in branch.initializer:
        tensor.name = renamed[tensor.name]
        graph.initializer.append(tensor)
    inner = list(branch.node)
    for one in inner:
        one.input[:] = [renamed.get(name, name) for name in one.input]
        one.output[:] = [renamed[name] for name in one.output]
        one.name = f"{node.output[0]}/{one.name or one.output[0]}"
    inner += [
        onnx.helper.make_node("Identity", [given.name], [output], f"{output}/decided")
        for given, output in zip(branch.output, node.output, strict=True)
        if given.name not in made  # a tensor from outside
    ]
    for offset, one in enumerate(inner):
        graph.node.insert(place + offset, one)
