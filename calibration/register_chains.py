"""Finds the functions in a graph that engines apply to a convolution's sums."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import OnnxGraph
from calibration.register_functions import PROBES, RegisterFunction, evaluated, recognised


@dataclass(frozen=True)
class RegisterChain:
    """A function of a convolution's result `source`, and what its operators compute on the way, in order."""

    function: RegisterFunction
    source: str
    inside: tuple[str, ...]


def register_chains(graph: OnnxGraph, sources: Mapping[str, str]) -> dict[str, RegisterChain]:
    """Find them, by the tensors with their results.

    `sources` has the tensor that each elementwise result is a function of. A chain begins at a Conv or Gemm
    that nothing else reads, and has one result.
    """
    outputs = {output.name for output in graph.model.graph.output}
    nodes: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.nodes:
        if node.output and (source := sources.get(node.output[0])) is not None:
            nodes.setdefault(source, []).append(node)
    found = {}
    for source, chain in nodes.items():
        end = _end(graph, source, chain, outputs)
        function = None if end is None else _function(graph, source, chain, end)
        if end is not None and function is not None:
            inside = tuple(node.output[0] for node in chain if node.output[0] != end)
            found[end] = RegisterChain(function, source, inside)
    return found


def _end(graph: OnnxGraph, source: str, chain: list[onnx.NodeProto], outputs: Collection[str]) -> str | None:
    """The only tensor of a chain that is read elsewhere, where all that reads its source is in the chain."""
    producer = graph.producer(source)
    if producer is None or producer.op_type not in ("Conv", "Gemm") or source in outputs:
        return None
    computed = {node.output[0] for node in chain}

    def is_read_elsewhere(tensor: str) -> bool:
        readers = [graph.nodes[edge.node].output[0] for edge in graph.consumers(tensor)]
        return tensor in outputs or not computed.issuperset(readers)

    ends = [tensor for tensor in computed if is_read_elsewhere(tensor)]
    return ends[0] if len(ends) == 1 and not is_read_elsewhere(source) else None


def _function(
    graph: OnnxGraph, source: str, chain: list[onnx.NodeProto], end: str
) -> RegisterFunction | None:
    values: dict[str, NDArray[np.generic]] = {source: PROBES}
    for node in chain:
        for name in filter(None, node.input):
            constant = graph.constant(name)
            if constant is not None:
                values[name] = constant.reshape(())
        given = {name: values[name] for name in node.input if name in values}
        result = evaluated(node, given) if len(given) == len(set(filter(None, node.input))) else None
        if result is None:
            return None
        values[node.output[0]] = result
    return recognised(values[end].astype(np.float64))
