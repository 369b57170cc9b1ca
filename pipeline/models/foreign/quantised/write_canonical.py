"""Writes a canonical graph with its roundings, in the form that is compiled."""

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.foreign_qdq import RECIPE
from calibration.grid import ActivationGrid
from calibration.onnx_graph import set_attribute, tensor_proto
from calibration.qdq_writer import BROUGHT, FLOAT_LAYERS, whole_steps
from calibration.scheme import Scheme
from pipeline.models.foreign.quantised.canonical_qdq import (
    CanonicalGraph,
    Grid,
    ImageGrid,
    Plain,
    Rounding,
)
from pipeline.models.foreign.quantised.weighted_layer import WeightedLayer
from pipeline.models.foreign.quantised.wide_weights import SplitWeights, split

NO_LONGER = ("alpha", "beta", "transA", "transB")
"""Attributes of a Gemm that its canonical form has taken in."""
NOTICED = 1e-3
"""In steps of the sum: a bias stored as int32 lies this close to a whole number of steps, in float32."""
FLOAT_STEPS = 1000
"""A bias of more steps is exact only to the share NOTICED / FLOAT_STEPS of itself, in float32."""


@dataclass(frozen=True)
class Written:
    """The model, and what was changed.

    split: the layers whose weights 8 bits did not hold. rounded_biases: how many were not whole steps of
    their sums. in_float: Conv and Gemm nodes that are not quantised.
    """

    model: onnx.ModelProto
    split: tuple[str, ...]
    rounded_biases: int
    in_float: tuple[str, ...]


def write_quantised(graph: CanonicalGraph, scheme: Scheme, lowest_weight: int = -128) -> Written:
    """Write every activation on a uint8 grid, or, under w8a8_sym, int8; weights int8, a scale a channel.

    Under w8a8_asym biases are rounded to whole steps of the sums that they are added to, as integer engines
    add them. lowest_weight: -127 for kernels that add two products in 16 bits.
    """
    writer = _CanonicalWriter(graph, scheme, lowest_weight)
    for item in graph.items:
        writer.item(item)
    in_float = [
        item.node.name
        for item in graph.items
        if isinstance(item, Plain) and item.node.op_type in ("Conv", "Gemm")
    ]
    model = assembled(graph, writer.nodes, writer.constants)
    props = {RECIPE: scheme.value, FLOAT_LAYERS: "\n".join(in_float), BROUGHT: "1"}
    helper.set_model_props(model, props)
    return Written(model, tuple(writer.split), writer.rounded_biases, tuple(in_float))


def assembled(
    graph: CanonicalGraph, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]]
) -> onnx.ModelProto:
    """Return a model of these nodes, with the input and the output of the graph."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:], model.metadata_props[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    known = {**graph.constants, **constants}
    model.graph.initializer.extend(tensor_proto(name, value) for name, value in known.items() if name in used)
    model.graph.output[0].name = graph.output
    return model


class _CanonicalWriter:
    def __init__(self, graph: CanonicalGraph, scheme: Scheme, lowest_weight: int) -> None:
        self.scheme = scheme
        self.lowest_weight = lowest_weight
        self.grids = {i.output: i.grid for i in graph.items if isinstance(i, Rounding | ImageGrid)}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.split: list[str] = []
        self.rounded_biases = 0

    def item(self, item: Rounding | ImageGrid | WeightedLayer | Plain) -> None:
        match item:
            case Rounding():
                self._round(item.source, item.output, item.grid, item.node)
            case ImageGrid():
                grid = self._grid(item.output, item.grid, Scheme.ASYM)
                self._append("DequantizeLinear", [item.source, *grid], item.output, item.node)
            case WeightedLayer():
                self._layer(item)
            case Plain(node):
                self.nodes.append(node)
            case _:
                assert_never(item)

    def _round(self, source: str, output: str, grid: Grid, name: str) -> None:
        names = self._grid(output, grid, self.scheme)
        self._append("QuantizeLinear", [source, *names], f"{output}/integers", name)
        inputs = [f"{output}/integers", *names]
        self._append("DequantizeLinear", inputs, output, f"{output}/DequantizeLinear")

    def _grid(self, output: str, grid: Grid, scheme: Scheme) -> list[str]:
        found = activation_grid(grid, scheme)
        return [
            self._constant(f"{output}/scale", np.asarray(found.scale)),
            self._constant(f"{output}/zero_point", np.asarray(found.zero_point)),
        ]

    def _layer(self, layer: WeightedLayer) -> None:
        name, data = layer.output, layer.data
        wide = split(layer, self.lowest_weight)
        if wide is None:
            weights = layer.integers.astype(np.int8)
        else:
            weights, data = wide.parts, self._copies(layer, wide)
            self.split.append(layer.node.name)
        inputs = [
            self._constant(f"{name}/weight", weights),
            self._constant(f"{name}/weight_scale", layer.scales.astype(np.float32)),
            self._constant(f"{name}/weight_zero_point", np.zeros(len(weights), np.int8)),
        ]
        self._append("DequantizeLinear", inputs, f"{name}/weight_real", f"{name}/weight/DQ", axis=0)
        bias = self._constant(f"{name}/bias", self._bias(layer))
        self.nodes.append(layer_node(layer, [data, f"{name}/weight_real", bias]))

    def _bias(self, layer: WeightedLayer) -> NDArray[np.float32]:
        bias = layer.bias.astype(np.float32)
        if self.scheme is Scheme.SYM:
            return bias
        steps = layer.bias / layer.unit
        noticed = NOTICED * np.maximum(1, np.abs(steps) / FLOAT_STEPS)
        self.rounded_biases += bool((np.abs(steps - np.rint(steps)) > noticed).any())
        return whole_steps(bias, layer.unit)

    def _copies(self, layer: WeightedLayer, wide: SplitWeights) -> str:
        """Write a tensor with the copies of channels that split weights read, on the same grid."""
        name, grid = f"{layer.output}/copies", self.grids[layer.data]
        channels = len(layer.integers[0]) * (layer.groups if layer.is_conv else 1)
        times = len(wide.copied) // channels
        if wide.copied == tuple(range(channels)) * times:
            self._append("Concat", [layer.data] * times, f"{name}/joined", f"{name}/Concat", axis=1)
        else:
            self._picked(layer, wide, f"{name}/joined")
        self._round(f"{name}/joined", name, grid, f"{name}/QuantizeLinear")
        return name

    def _picked(self, layer: WeightedLayer, wide: SplitWeights, output: str) -> None:
        """Copy channels by a product with ones and zeros, one group at a time."""
        groups = layer.groups if layer.is_conv else 1
        inputs = len(layer.integers[0])
        ones = np.zeros((len(wide.copied), inputs), np.int8)
        ones[np.arange(len(ones)), np.array(wide.copied) % inputs] = 1
        weights = ones.reshape(*ones.shape, *[1] * (layer.integers.ndim - 2))
        names = [
            self._constant(f"{output}/ones", weights),
            self._constant(f"{output}/one", np.ones(len(ones), np.float32)),
            self._constant(f"{output}/zero", np.zeros(len(ones), np.int8)),
        ]
        self._append("DequantizeLinear", names, f"{output}/ones_real", f"{output}/DQ", axis=0)
        read = [layer.data, f"{output}/ones_real"]
        if layer.is_conv:
            self._append("Conv", read, output, f"{output}/Conv", group=groups)
        else:
            self._append("Gemm", read, output, f"{output}/Gemm", transB=1)

    def _append(self, kind: str, inputs: list[str], output: str, name: str, **attributes: int) -> None:
        node = helper.make_node(kind, inputs, [output], name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = value
        return name


def layer_node(layer: WeightedLayer, inputs: list[str]) -> onnx.NodeProto:
    """Return the layer as a Conv or Gemm of data, weight and bias."""
    node = onnx.NodeProto()
    node.CopyFrom(layer.node)
    node.op_type = "Conv" if layer.is_conv else "Gemm"
    kept = [a for a in layer.node.attribute if layer.is_conv or a.name not in NO_LONGER]
    del node.attribute[:]
    node.attribute.extend(kept)
    if not layer.is_conv:
        set_attribute(node, "transB", 1)
    node.input[:] = inputs
    node.output[:] = [layer.output]
    return node


def activation_grid(grid: Grid, scheme: Scheme) -> ActivationGrid:
    """Return a grid in the type that a scheme has."""
    zero = np.uint8(grid.zero) if scheme is Scheme.ASYM else np.int8(grid.zero - 128)
    return ActivationGrid(np.float32(grid.scale), zero)
