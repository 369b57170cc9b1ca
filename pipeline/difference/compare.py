"""Compares two networks tensor by tensor."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.matched_weights import by_weights
from pipeline.difference.matching import match_tensors
from pipeline.difference.observed import enough_pictures, tensor_values
from pipeline.difference.place import Sides
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.walk import TensorError, Walk


@dataclass(frozen=True)
class NetworkComparison:
    """Everything that was found about two networks, in the order of computation."""

    sides: Sides
    pictures: NDArray[np.uint8]
    findings: tuple[Discrepancy, ...]
    errors: tuple[TensorError, ...]
    rescaled: Mapping[str, ChannelAffine]
    """A's tensors that B holds with other gains or shifts, which what reads them takes back."""


def compare(a: onnx.ModelProto, b: onnx.ModelProto, pictures: NDArray[np.uint8]) -> NetworkComparison:
    """Compare two networks that take pictures uint8 [N, H, W, C]. A is the reference."""
    graph_a, graph_b = read_real_graph(a), read_real_graph(b)
    few = enough_pictures(graph_b, pictures)
    values_a, values_b = tensor_values(graph_a, few), tensor_values(graph_b, few)
    matching = match_tensors(graph_a, graph_b, values_a, values_b, by_weights)
    walk = Walk(Sides(graph_a, graph_b, values_a, values_b, matching), few)
    walk.all_places()
    return NetworkComparison(walk.sides, few, tuple(walk.findings), tuple(walk.errors), walk.domains.rescaled)
