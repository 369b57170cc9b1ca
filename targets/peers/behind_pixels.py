"""A network without edgec's normalisation in front: as its user had it, with float32 NCHW as its input."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from calibration.errors import ModelError
from calibration.onnx_graph import IMAGE, OnnxGraph, drop_unused_initializers
from targets.peers.prepared_input import PreparedNetwork

NORMALISATION = {"Cast", "Transpose", "Sub", "Mul"}
"""The operators that every exported model begins with, one of each."""


def write_behind_pixels(model: Path, file: Path) -> PreparedNetwork:
    """Write to `file` what stands behind the normalisation of `model`, and return how it is fed.

    Its input is called as before. Raises ModelError where the graph does not begin with a normalisation.
    """
    graph = OnnxGraph.load(model)
    batch, height, width, channels = graph.image().type.tensor_type.shape.dim
    front, start = _normalisation(graph)
    cut = onnx.ModelProto()
    cut.CopyFrom(graph.model)
    del cut.graph.node[:]
    for index, node in enumerate(graph.nodes):
        if index not in front.values():
            kept = cut.graph.node.add()
            kept.CopyFrom(node)
            kept.input[:] = [IMAGE if name == start else name for name in node.input]
    sides = [batch.dim_value or "N", *(side.dim_value for side in (channels, height, width))]
    del cut.graph.input[:]
    cut.graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, sides))
    del cut.graph.value_info[:]
    drop_unused_initializers(cut)
    onnx.checker.check_model(cut, full_check=True)
    onnx.save(cut, file)
    mean, scale = (_per_channel(graph, front[op], channels.dim_value) for op in ("Sub", "Mul"))
    return PreparedNetwork(file, "NCHW", tuple(scale.tolist()), tuple((-mean * scale).tolist()))


def _normalisation(graph: OnnxGraph) -> tuple[dict[str, int], str]:
    """Return the places of its nodes by operator, and the tensor behind them. Raises ModelError."""
    found: dict[str, int] = {}
    tensor = IMAGE
    while len(found) < len(NORMALISATION):
        readers = {edge.node for edge in graph.consumers(tensor)}
        index = readers.pop() if len(readers) == 1 else None
        op = "" if index is None else graph.nodes[index].op_type
        if index is None or op not in NORMALISATION - set(found):
            raise ModelError(f"'{IMAGE}' is not normalised as edgec does it: {tensor!r} is read differently.")
        found[op] = index
        tensor = graph.nodes[index].output[0]
    return found, tensor


def _per_channel(
    graph: OnnxGraph, index: int, channels: int
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    constant = graph.constant(graph.nodes[index].input[1])
    if constant is None or constant.size not in (1, channels):
        raise ModelError("The normalisation in front of the network has no constants of one value a channel.")
    return np.broadcast_to(np.asarray(constant, np.float64).ravel(), channels).astype(np.float64)
