"""Reads the parameters of a quantised model that `write_qdq` wrote."""

from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from calibration.errors import ModelError
from calibration.grid import ActivationGrid, QuantizedWeight
from calibration.left_out import left_out
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters, QuantizedLayer
from calibration.placement import Placement
from calibration.qdq_writer import constants_of


def wide_tensors_of(model: onnx.ModelProto) -> list[str]:
    """Return the tensors that a Q/DQ model rounds to 16 bits, in graph order."""
    wide = {proto.name for proto in model.graph.initializer if proto.data_type == onnx.TensorProto.UINT16}
    rounding = (node for node in model.graph.node if node.op_type == "QuantizeLinear")
    return [node.input[0] for node in rounding if len(node.input) > 2 and node.input[2] in wide]


def residual_tensors_of(model: onnx.ModelProto) -> list[str]:
    """Return those of `wide_tensors_of` that only additions read so, and others at most a copy of 8 bits."""
    graph = OnnxGraph(model)
    found = []
    for name in wide_tensors_of(model):
        (rounding,) = [
            e.node for e in graph.consumers(name) if graph.nodes[e.node].op_type == "QuantizeLinear"
        ]
        (back,) = [edge.node for edge in graph.consumers(graph.nodes[rounding].output[0])]
        kinds = {graph.nodes[edge.node].op_type for edge in graph.consumers(graph.nodes[back].output[0])}
        if kinds <= {"Add", "QuantizeLinear"}:
            found.append(name)
    return found


def read_parameters(quantized: Path | OnnxGraph, graph: OnnxGraph, placement: Placement) -> Parameters:
    """Return the grids and layers of the Q/DQ model that `write_qdq` made of the float `graph`.

    Raises ModelError, naming the first constant that is missing, for a model made of another graph or with
    another placement.
    """
    source = OnnxGraph.load(quantized) if isinstance(quantized, Path) else quantized

    def constant(name: str) -> NDArray[Any]:
        found = source.constant(name)
        if found is None:
            raise ModelError(
                f"The quantised model has no {name!r}: it was not made from this float model by this recipe."
            )
        return found

    grids = {
        tensor: ActivationGrid(constant(f"{tensor}/scale").flat[0], constant(f"{tensor}/zero_point").flat[0])
        for tensor in placement.tensors
    }
    layers = {}
    for index in placement.layers:
        name = constants_of(graph, index)
        weight = QuantizedWeight(constant(f"{name}/quantized"), constant(f"{name}/scale"))
        layers[index] = QuantizedLayer(weight, constant(f"{name}/bias"))
    return Parameters(grids, layers, left_out(source.model))
