"""Finds averages over pixels of powers: x^3 in GeM pooling (Radenovic et al. 2018), x^2 in L2 pooling.

Of 256 values of x^3 most are for the largest x: a tenth of the largest x is less than one step. The mean of
such values loses far more than x itself in 8 bits. So x has 8 bits, and power, mean and root are in float.
"""

from collections.abc import Mapping

import onnx

from calibration.onnx_graph import OnnxGraph

_MEANS = frozenset({"GlobalAveragePool", "AveragePool"})
_KEPT = frozenset({"Relu", "Clip", "Abs"})
_LEAST = 1.5


def averaged_powers(graph: OnnxGraph, sources: Mapping[str, str]) -> dict[str, str]:
    """Return the tensor with the powers for each tensor with their means.

    `sources` has the tensor that each elementwise result is a function of.
    """
    exponents = dict.fromkeys(sources.values(), 1.0)
    for node in graph.nodes:
        if node.output and node.output[0] in sources:
            exponents[node.output[0]] = _exponent(graph, node, exponents)
    return {
        node.output[0]: node.input[0]
        for node in graph.nodes
        if node.op_type in _MEANS and exponents.get(node.input[0], 0.0) >= _LEAST
    }


def _exponent(graph: OnnxGraph, node: onnx.NodeProto, known: Mapping[str, float]) -> float:
    """Of the power of its source that a node gives; 0 for another function."""
    values = [known.get(name, 0.0) for name in node.input if name and not graph.is_constant(name)]
    if node.op_type == "Mul" and all(values):
        return sum(values)
    if node.op_type == "Pow" and len(values) == 1 and (given := graph.constant(node.input[1])) is not None:
        return values[0] * float(given.reshape(-1)[0]) if given.size == 1 else 0.0
    return values[0] if node.op_type in _KEPT and len(values) == 1 else 0.0
