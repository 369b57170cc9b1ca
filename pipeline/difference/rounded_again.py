"""How far rounding alone moves a network's logits: a quantised network is rounded a second time.

The copy has scales that are a few percent larger, so every value falls between other steps. It is the same
network with other roundings. Its logits differ from the network's own by what its scales cost at its depth,
whatever that is: 40 dB in a small trained network, 10 dB in a deep one with random weights.
"""

import zlib

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.onnx_graph import attribute
from pipeline.difference.decibels import MOST_DB, ratio_db
from pipeline.difference.place import Array
from pipeline.difference.real_graph import RealGraph
from pipeline.difference.side import graph_logits

LARGER = (1.03, 1.1)
"""By how much scales grow: enough for other roundings, too little to make them larger (0.8 dB at most)."""


def rounding_db(graphs: tuple[RealGraph, ...], pictures: NDArray[np.uint8]) -> float:
    """Return how far rounding the graphs a second time moves their logits, in dB; MOST_DB if none rounds.

    Errors of several graphs are added. Each graph takes pictures uint8 [N, H, W, C].
    """
    errors = 0.0
    for graph in graphs:
        if not (graph.weight_steps or graph.all_grids):
            continue
        once, again = (graph_logits(one, pictures) for one in (graph.model, rounded_again(graph)))
        errors += 10 ** (-ratio_db(once, again) / 10)
    return MOST_DB if errors == 0 else float(-10 * np.log10(errors))


def rounded_again(graph: RealGraph) -> onnx.ModelProto:
    """Return the quantised network with slightly larger scales, of activations and of stored weights."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    made: dict[str, Array] = {}
    kept: list[onnx.NodeProto] = []
    rounded: set[str] = set()  # integers that QuantizeLinear makes, not those of a picture
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" or (
            node.op_type != "DequantizeLinear" and rounded & set(node.input)
        ):
            rounded.update(node.output)
        if node.op_type == "DequantizeLinear" and node.output[0] in graph.weight_steps:
            values = _weights_again(graph, node)
            if values is not None:
                made[node.output[0]] = values
                continue
        elif node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] in rounded
        ):
            scale = graph.constants[node.input[1]]
            name = f"{node.input[1]}/larger"
            made[name] = (scale * _factor(scale)).astype(scale.dtype)
            node.input[1] = name
        kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    return model


def _weights_again(graph: RealGraph, node: onnx.NodeProto) -> Array | None:
    """Return stored weights, rounded to other steps; None for biases, and for scales of blocks."""
    stored, scale = graph.constants[node.input[0]], graph.constants[node.input[1]]
    if stored.ndim < 2 or scale.ndim > 1:
        return None
    wide = [1] * stored.ndim
    if scale.size > 1:
        wide[attribute(node, "axis", 1)] = scale.size
    step = scale.reshape(wide).astype(np.float64) * _factor(scale)
    real = graph.constants[node.output[0]]
    return (np.rint(real / step) * step).astype(real.dtype)


def _factor(scale: Array) -> float:
    """Return by how much a scale grows: always the same for one scale, so that what shares it still does."""
    share = zlib.crc32(np.ascontiguousarray(scale).tobytes()) / 2**32
    return LARGER[0] + (LARGER[1] - LARGER[0]) * share
