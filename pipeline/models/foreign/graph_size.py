"""How much a graph computes, from its shapes alone: nothing in it is run.

A few bytes of ONNX can ask for any amount: a Range to 2^40, an Expand, a function that calls another twice.
Where operators such as these decide shapes by values, shapes alone do not say it; such a graph is first tried
in a process with limits, see `tried_apart`.
"""

from collections.abc import Iterable
from math import prod
from pathlib import Path

import onnx
from onnx import shape_inference

from pipeline.errors import CheckpointError
from pipeline.models.foreign.external_data import tensors
from pipeline.reading.reading_limits import (
    CONSTANT_VALUES,
    INPUT_PIXELS,
    ONNX_DEPTH,
    ONNX_NODES,
    TENSOR_VALUES,
    TENSOR_VALUES_FOR_EACH,
)

GROWING = {
    *("ConstantOfShape", "Expand", "EyeLike", "OneHot", "Range", "Tile", "Pad", "Resize", "Upsample"),
    *("RandomNormal", "RandomUniform", "Multinomial", "NonZero", "MaxUnpool", "Col2Im", "AffineGrid"),
    *("HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix", "DFT", "STFT", "CenterCropPad"),
    *("If", "Loop", "Scan", "SequenceMap"),
}
"""Operators whose output is as large as a value says, or that have a graph inside."""


def count_nodes(model: onnx.ModelProto, path: Path) -> None:
    """Raise CheckpointError for more than ONNX_NODES nodes, counting every call of a function.

    Functions call each other, so a few can stand for any number of nodes.
    """
    bodies = {(one.domain, one.name): one.node for one in model.functions}
    counted: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        if depth > len(bodies) + ONNX_DEPTH:
            raise CheckpointError(f"{path} has functions or graphs that contain each other without end.")
        return sum(of_node(node, depth) for node in nodes)

    def of_node(node: onnx.NodeProto, depth: int) -> int:
        call = (node.domain, node.op_type)
        if call in bodies and call not in counted:
            counted[call] = count(bodies[call], depth + 1)
        inner = [one for given in node.attribute for one in (given.g, *given.graphs) if one.node]
        return 1 + counted.get(call, 0) + sum(count(graph.node, depth + 1) for graph in inner)

    found = count(model.graph.node, 0)
    if found > ONNX_NODES:
        raise CheckpointError(f"{path} has {found:,} nodes; at most {ONNX_NODES:,} are read.")


def is_bounded(model: onnx.ModelProto, path: Path, sides: tuple[int, ...] | None = None) -> bool:
    """Whether shapes alone show that every tensor of a model, for one image, is of a usual size.

    sides: those of the image in the order of the input, without the batch; None: as in the graph. Raises
    CheckpointError naming the tensor that is larger.
    """
    one = onnx.ModelProto()
    one.CopyFrom(model)
    dimensions = one.graph.input[0].type.tensor_type.shape.dim
    for dimension, side in zip(dimensions, (1, *(sides or ())), strict=False):
        dimension.dim_value = side
    pixels = prod(dimension.dim_value or 1 for dimension in dimensions)
    if pixels > 3 * INPUT_PIXELS:
        raise CheckpointError(
            f"{path} takes images of {pixels:,} values; at most {INPUT_PIXELS:,} pixels are taken."
        )
    del one.graph.value_info[:]
    grows = bool(one.functions or one.graph.sparse_initializer) or any(
        node.op_type in GROWING or node.domain for node in one.graph.node
    )
    shaped = shape_inference.infer_shapes(one, data_prop=not grows).graph
    sizes = {value.name: _size(value) for value in (*shaped.value_info, *shaped.output)}
    _refuse_large(one, sizes, pixels, path)
    made = {name for node in one.graph.node for name in node.output if name}
    return not grows and all(sizes.get(name) is not None for name in made)


def _refuse_large(model: onnx.ModelProto, sizes: dict[str, int | None], pixels: int, path: Path) -> None:
    stored = sum(prod(tensor.dims) for tensor in tensors(model))
    constant = {tensor.name for tensor in model.graph.initializer} | {""}
    most = TENSOR_VALUES + TENSOR_VALUES_FOR_EACH * pixels
    left = CONSTANT_VALUES + 8 * stored
    for node in model.graph.node:
        sized = [(name, sizes.get(name) or 0) for name in node.output if name]
        if constant.issuperset(node.input):
            constant.update(node.output)
            left -= sum(size for _, size in sized)
            wanted = left < 0
        else:
            wanted = any(size > most + 8 * stored for _, size in sized)
        if wanted:
            name, size = max(sized, key=lambda one: one[1])
            raise CheckpointError(
                f"{path}: its {node.op_type} makes {name!r} of {size:,} values, more than a network of its"
                " size needs: refused."
            )


def _size(value: onnx.ValueInfoProto) -> int | None:
    """Return how many values a tensor has; None if its shape is open."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    dimensions = value.type.tensor_type.shape.dim
    return prod(d.dim_value for d in dimensions) if all(d.HasField("dim_value") for d in dimensions) else None
