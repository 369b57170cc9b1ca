"""The activations that can have 16 bits: an integer engine can write and read them, and sums fit int32."""

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.estimated_costs import DIRECT
from calibration.grid import WEIGHT_LIMIT
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement
from calibration.pointwise import Elementwise
from calibration.written_wide import WRITERS, is_written_wide

_LARGEST_SUM = 2.0**30
"""The largest sum, half of int32: weights' scales are chosen later, and sums may become larger."""
_READERS = WRITERS


def candidates(graph: OnnxGraph, placement: Placement) -> Iterator[str]:
    """Tensors that an integer engine can both write and read in 16 bits."""
    functions, shared = Elementwise(graph), list(placement.tensors.values())
    for name, source in placement.tensors.items():
        if name == source and shared.count(source) == 1 and is_written_wide(graph, functions, name):
            readers = [graph.nodes[edge.node] for edge in graph.consumers(name)]
            if readers and all(_reads(graph, node, name) for node in readers):
                yield name


def _reads(graph: OnnxGraph, node: onnx.NodeProto, tensor: str) -> bool:
    if node.op_type in DIRECT:
        return node.input[0] == tensor and _fits(graph.constant(node.input[1]))
    computed = not any(graph.is_constant(name) for name in node.input)
    return node.op_type in _READERS and (computed or node.op_type not in ("Add", "Mul"))


def _fits(weight: NDArray[np.generic] | None) -> bool:
    """Whether the sums of a layer with 16-bit activations fit, with a margin."""
    if weight is None:
        return False
    rows = np.abs(weight.reshape(len(weight), -1).astype(np.float64))
    largest = np.maximum(rows.max(axis=1), np.finfo(np.float32).tiny)
    return bool((rows.sum(axis=1) / largest).max() * WEIGHT_LIMIT * 65535 < _LARGEST_SUM)
