"""Chooses the activations that get 16 bits: those that improve the logits most for their cost in time.

To second order an error d of a value changes the logits by a power of g^2 d^2, g^2 the sum of the squares of
the logits' derivatives by the value. That of each tensor is measured on its own 8-bit grid. An engine takes
twice the time to multiply 16-bit activations, and more time to write and read them. A tensor's cost is
estimated in multiplications. Tensors are taken by decreasing ratio of benefit to cost, as long as their total
cost stays below a share of the network's own cost.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from calibration.estimated_costs import LayerCosts
from calibration.grid import activation_grid
from calibration.logit_gradients import logit_gradients
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement
from calibration.scheme import Scheme
from calibration.wide_candidates import candidates, check_opset

IMAGES = 64
BUDGET = 0.1
"""The share of a network's own cost that `wide` may add."""


def wide_tensors(
    graph: OnnxGraph,
    placement: Placement,
    ranges: Mapping[str, Range],
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
    budget: float = BUDGET,
) -> tuple[str, ...]:
    """Choose among the tensors of `placement`, with the ranges found for them, on the first IMAGES images.

    `budget`: the most that they may cost, of the network's own cost. Raises ModelError for operators
    without a gradient, or where sizes are not known.
    """
    check_opset(graph)
    prices, able = LayerCosts(graph), tuple(candidates(graph, placement))
    costs = {name: prices.of_wide(name) for name in able}
    errors = dict.fromkeys(able, 0.0)
    for count, found in logit_gradients(graph, able, images, IMAGES):
        for name, (x, gradient) in found.items():
            grid = activation_grid(ranges[name].low, ranges[name].high, Scheme.ASYM)
            values = x.numpy()
            error = (grid.dequantize(grid.quantize(values)) - values) * gradient.numpy()
            errors[name] += float(np.square(error, dtype=np.float64).sum())
        on_batch(count)
    left, chosen = budget * prices.of_network(placement), set()
    for name in sorted(able, key=lambda name: -errors[name] / costs[name]):
        if errors[name] > 0 and costs[name] <= left:
            left -= costs[name]
            chosen.add(name)
    return tuple(name for name in able if name in chosen)
