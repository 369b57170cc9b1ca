"""16 bits for activations of a network that has been quantised to 8."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from calibration.errors import ModelError
from calibration.grid import INT32_BIAS_LIMIT
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters
from calibration.placement import Placement
from calibration.scheme import Scheme
from calibration.wide_candidates import candidates
from calibration.written_wide import check_opset


def widenable(
    graph: OnnxGraph, placement: Placement, parameters: Parameters, scheme: Scheme
) -> frozenset[str]:
    """The tensors that can have 16 bits without a change of weights; under w8a8_sym all stay int8."""
    if scheme is Scheme.SYM:
        return frozenset()
    try:
        check_opset(graph)
    except ModelError:
        return frozenset()
    able = frozenset(candidates(graph, placement))
    return frozenset(name for name in able if _biases_fit(graph, parameters, name))


def with_wide(parameters: Parameters, tensors: Iterable[str]) -> Parameters:
    """Give `tensors` 16 bits."""
    wide = {name: parameters.grids[name].widened() for name in tensors}
    return replace(parameters, grids=parameters.grids | wide)


def _biases_fit(graph: OnnxGraph, parameters: Parameters, tensor: str) -> bool:
    """Whether the biases of the layers that read a tensor still fit int32 at its finer scale."""
    step = float(parameters.grids[tensor].widened().scale)
    readers = [parameters.layers[e.node] for e in graph.consumers(tensor) if e.node in parameters.layers]
    return all(
        bool((np.abs(layer.bias) <= step * layer.weight.scales.astype(float) * INT32_BIAS_LIMIT).all())
        for layer in readers
    )
