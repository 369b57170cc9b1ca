"""The sizes of a graph's tensors for one image, as far as they are known before it runs."""

from collections.abc import Iterable, Mapping
from math import prod

import onnx
from onnx import numpy_helper

from calibration.errors import ModelError
from calibration.onnx_graph import OnnxGraph

_WHOLE = frozenset({onnx.TensorProto.INT32, onnx.TensorProto.INT64})


def tensor_sizes(graph: OnnxGraph) -> dict[str, list[int]]:
    """Return the dimensions of each tensor, by name. One that is not known, as the batch often is, is 0.

    Pads and shapes that follow from constants are computed first: torch computes the pads of a Pad by seven
    nodes, and ONNX's own inference does not follow all of them.
    """
    values = _values(onnx.shape_inference.infer_shapes(graph.model))
    whole = {value.name for value in values if value.type.tensor_type.elem_type in _WHOLE}
    computed = {name for name in _read(graph) if name in whole and not graph.is_constant(name)}
    if computed:
        values = _values(onnx.shape_inference.infer_shapes(_with_constants(graph, computed)))
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}


def numbers_an_image(sizes: Mapping[str, list[int]], tensor: str) -> int:
    """Return how many numbers a tensor has, of one image. Raises ModelError for a size that is not known."""
    shape = sizes.get(tensor, [])[1:]
    if not shape or not all(shape):
        raise ModelError(f"the size of {tensor!r} is not known before the network runs")
    return prod(shape)


def _values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return [*model.graph.value_info, *model.graph.output]


def _read(graph: OnnxGraph) -> list[str]:
    """The inputs of those nodes that depend on the graph's input, in graph order."""
    depends = {i.name for i in graph.model.graph.input} - set(graph.initializers)
    found = list[str]()
    for node in graph.nodes:
        if depends & set(node.input):
            depends |= set(node.output)
            found.extend(node.input)
    return list(dict.fromkeys(found))


def _with_constants(graph: OnnxGraph, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy where `names` are initialisers, as far as they follow from constants."""
    folded = {name: value for name in names if (value := graph.folded(name)) is not None}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.node[:]
    model.graph.node.extend(node for node in graph.nodes if not set(node.output) & set(folded))
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in folded.items())
    return model
