"""Replaces an If by its branch, where the file or the size of the images decides the condition.

torch writes an If where it squeezes a dimension that might not be 1. The graph is run with one image and with
two: where both decide alike, the other branch is never taken.
"""

from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.errors import CheckpointError
from pipeline.models.foreign.normal_form.known_shapes import independent_of_values, values

Decided = list[tuple[onnx.NodeProto, onnx.GraphProto]]
"""Nodes, and the branch that each takes."""


def write_stored_branches(model: onnx.ModelProto) -> None:
    """Replace every If whose condition is stored in the graph, and those inside it.

    Nothing is run. An If has two graphs, each of which may have another If, so that ten in each other have a
    thousand, and everything that reads or runs the whole model takes that much longer.
    """
    while decided := _stored(model.graph):
        _replace(model.graph, decided)
        del model.graph.value_info[:]


def write_decided_branches(model: onnx.ModelProto) -> None:
    """Replace every If whose condition is the same for one image and for two, and those inside it.

    Raises onnxruntime's exceptions for a model that it refuses.
    """
    while decided := list(_decided(model)):
        _replace(model.graph, decided)
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
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known = {*independent_of_values(model.graph), *constants}
    nodes = [node for node in model.graph.node if node.op_type == "If" and node.input[0] in known]
    names = [node.input[0] for node in nodes if node.input[0] not in constants]
    for_one, for_two = (constants | values(model, names, images) for images in (1, 2))
    for node in nodes:
        one, two = (bool(np.all(found[node.input[0]])) for found in (for_one, for_two))
        if one == two:
            yield node, attribute(node, "then_branch" if one else "else_branch", None)


def _stored(graph: onnx.GraphProto) -> Decided:
    stored = {tensor.name: tensor for tensor in graph.initializer}
    stored |= {
        node.output[0]: found
        for node in graph.node
        if node.op_type == "Constant" and (found := attribute(node, "value", None)) is not None
    }
    conditions = {
        name: bool(numpy_helper.to_array(tensor).all())
        for name, tensor in stored.items()
        if tensor.data_type == onnx.TensorProto.BOOL and prod(tensor.dims) == 1
    }
    return [
        (node, attribute(node, "then_branch" if conditions[node.input[0]] else "else_branch", None))
        for node in graph.node
        if node.op_type == "If" and node.input[0] in conditions
    ]


def _replace(graph: onnx.GraphProto, decided: Decided) -> None:
    """Put the branches' nodes where the Ifs are, under names that begin with the Ifs' own."""
    taken = {node.output[0]: branch for node, branch in decided}
    written = onnx.GraphProto()
    for node in graph.node:
        if node.op_type == "If" and node.output[0] in taken:
            branch = taken[node.output[0]]
            written.node.extend(_written_out(node, branch))
            graph.initializer.extend(branch.initializer)
        else:
            written.node.append(node)
    del graph.node[:]
    graph.node.extend(written.node)


def _written_out(node: onnx.NodeProto, branch: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the branch's nodes as they are outside it, and rename its initialisers."""
    made = {name for inner in branch.node for name in inner.output if name}
    made |= {tensor.name for tensor in branch.initializer}
    renamed = {name: f"{node.output[0]}/{name}" for name in made}
    for given, output in zip(branch.output, node.output, strict=True):
        if given.name in made:
            renamed[given.name] = output
    for tensor in branch.initializer:
        tensor.name = renamed[tensor.name]
    for inner in branch.node:
        _rename_read(inner, renamed)
        inner.output[:] = [renamed.get(name, name) for name in inner.output]
        inner.name = f"{node.output[0]}/{inner.name or inner.output[0]}"
        yield inner
    for given, output in zip(branch.output, node.output, strict=True):
        if given.name not in made:  # a tensor from outside
            yield onnx.helper.make_node("Identity", [given.name], [output], f"{output}/decided")


def _rename_read(node: onnx.NodeProto, renamed: Mapping[str, str]) -> None:
    """Rename what a node reads, also in the graphs inside it: names are made once in all of them."""
    node.input[:] = [renamed.get(name, name) for name in node.input]
    for graph in (one for given in node.attribute for one in (given.g, *given.graphs)):
        for inner in graph.node:
            _rename_read(inner, renamed)
        for value in graph.output:
            value.name = renamed.get(value.name, value.name)
