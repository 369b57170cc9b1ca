"""Writes a quantised network without its roundings: weights as stored, activations bounded, not rounded.

This is not the network before quantisation, whose weights are lost. A comparison with it shows the cost of
rounding activations, and not that of rounding weights.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from calibration.scheme import Scheme
from pipeline.models.foreign.quantised.canonical_qdq import CanonicalGraph, Grid, ImageGrid, Plain, Rounding
from pipeline.models.foreign.quantised.weighted_layer import WeightedLayer
from pipeline.models.foreign.quantised.write_canonical import activation_grid, assembled, layer_node


def write_unrounded(graph: CanonicalGraph) -> onnx.ModelProto:
    """Write the network in float; each grid leaves its smallest and its largest number as bounds."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}
    for item in graph.items:
        match item:
            case Rounding():
                nodes.append(_bounded(item, constants))
            case ImageGrid():
                nodes += _numbers(item, constants)
            case WeightedLayer():
                nodes.append(_in_float(item, constants))
            case Plain(node):
                nodes.append(node)
    return assembled(graph, nodes, constants)


def _bounded(item: Rounding, constants: dict[str, NDArray[Any]]) -> onnx.NodeProto:
    names = [f"{item.output}/lowest", f"{item.output}/highest"]
    constants |= dict(zip(names, _ends(item.grid), strict=True))
    return helper.make_node("Clip", [item.source, *names], [item.output], item.node)


def _ends(grid: Grid) -> list[NDArray[np.float32]]:
    found = activation_grid(grid, Scheme.ASYM)
    ends = found.dequantize(np.array([found.low, found.high], np.int32))
    return [np.asarray(end, np.float32) for end in ends]


def _numbers(item: ImageGrid, constants: dict[str, NDArray[Any]]) -> list[onnx.NodeProto]:
    name = item.output
    constants[f"{name}/scale"] = np.array(item.grid.scale, np.float32)
    constants[f"{name}/zero"] = np.array(item.grid.zero, np.float32)
    return [
        helper.make_node("Cast", [item.source], [f"{name}/cast"], f"{name}/Cast", to=TensorProto.FLOAT),
        helper.make_node("Sub", [f"{name}/cast", f"{name}/zero"], [f"{name}/centred"], f"{name}/Sub"),
        helper.make_node("Mul", [f"{name}/centred", f"{name}/scale"], [name], item.node),
    ]


def _in_float(layer: WeightedLayer, constants: dict[str, NDArray[Any]]) -> onnx.NodeProto:
    name = layer.output
    scales = layer.scales.reshape(-1, *[1] * (layer.integers.ndim - 1))
    constants[f"{name}/weight"] = (layer.integers * scales).astype(np.float32)
    constants[f"{name}/bias"] = layer.bias.astype(np.float32)
    return layer_node(layer, [layer.data, f"{name}/weight", f"{name}/bias"])
