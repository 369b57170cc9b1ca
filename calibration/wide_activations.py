"""Chooses the activations that get 16 bits: those that improve the logits most for their cost in time.

To second order an error d of a value changes the logits by a power of g^2 d^2, g^2 the sum of the squares of
the logits' derivatives by the value, as far as quantised inputs read it. That of each tensor is measured on
its own 8-bit grid. 16 bits are integers under w8a8_asym, for those tensors that an engine for CPUs can write
and read so. Under w8a8_sym they are FP16: a tensor stays without Q/DQ, and TensorRT computes what reads it in
FP16, which takes away the noise of those layers' weights too. Either takes longer; `estimated_costs` and
`estimated_gpu_costs` say by how much. Tensors are taken by decreasing ratio of benefit to cost, until as many
images as wanted are expected to keep their class, or the tensors' total cost would exceed a share of the
network's own.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.correction import WideChoice
from calibration.estimated_costs import LayerCosts
from calibration.estimated_gpu_costs import GpuCosts
from calibration.expected_agreement import expected_agreement
from calibration.grid import activation_grid
from calibration.logit_gradients import visit_gradients
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement
from calibration.scheme import Scheme
from calibration.wide_candidates import candidates
from calibration.wide_outlook import Prospect, outlook
from calibration.written_wide import check_opset

IMAGES = 128


@dataclass(frozen=True)
class Enough:
    """When no further tensor is taken.

    budget: the most that tensors may cost, as a share of the network's own cost. agreement: the share of
    images that are expected to keep their class despite the activations' rounding.
    """

    budget: float
    agreement: float


def choose_wide(
    graph: OnnxGraph,
    placement: Placement,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
    enough: Enough,
) -> WideChoice:
    """Choose among the tensors of `placement`, with the ranges found for them, on the first IMAGES images.

    Raises ModelError for operators without a gradient, or where sizes are not known.
    """
    costs, of_network = _costs(graph, placement, scheme)
    logits, noise = _noise(graph, placement, scheme, ranges, images, on_batch)

    def kept(wide: Collection[str]) -> float:
        left = sum(one for name, one in noise.items() if name not in wide)
        return expected_agreement(logits, max(left, 0.0))

    def prospect(wide: Collection[str]) -> Prospect:
        return Prospect(len(wide), kept(wide), sum(costs[name] for name in wide) / of_network)

    noisy = [name for name in costs if noise[name] > 0]
    left, chosen = enough.budget * of_network, set[str]()
    for name in sorted(noisy, key=lambda name: -noise[name] / costs[name]):
        if kept(chosen) >= enough.agreement:
            break
        if costs[name] <= left:
            left -= costs[name]
            chosen.add(name)
    tensors = tuple(name for name in noisy if name in chosen)
    if logits.shape[1] < 2:
        return WideChoice(tensors)
    subject = "calibration images" if logits.ndim == 2 else "pixels of calibration images"
    return WideChoice(tensors, outlook(subject, kept(()), prospect(tensors), prospect(noisy), scheme))


def _costs(graph: OnnxGraph, placement: Placement, scheme: Scheme) -> tuple[dict[str, float], float]:
    """The cost of 16 bits for each tensor that can have them, in graph order, and the network's own."""
    match scheme:
        case Scheme.ASYM:
            check_opset(graph)
            prices = LayerCosts(graph)
            written, wide = placement.residuals(graph), placement.only_wide(graph)
            able = (name for name in candidates(graph, placement) if name not in wide)
            return {name: prices.of_wide(name, name in written) for name in able}, prices.of_network(
                placement
            )
        case Scheme.SYM:
            on_gpu = GpuCosts(graph, placement)
            return {name: on_gpu.of_wide(name) for name in placement.observed}, on_gpu.of_network()
    assert_never(scheme)


def _noise(
    graph: OnnxGraph,
    placement: Placement,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    images: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> tuple[Tensor, dict[str, float]]:
    """The logits, and by how much rounding each tensor to 8 bits changes those of an image, squared."""
    output = graph.model.graph.output[0].name
    wide = placement.only_wide(graph)
    errors = {name: 0.0 for name in placement.observed if name not in wide}
    logits = list[Tensor]()

    def add(name: str, x: Tensor, gradient: Tensor) -> None:
        if name == output:
            logits.append(x)
        if name in errors:
            grid = activation_grid(ranges[name].low, ranges[name].high, scheme)
            values = x.numpy()
            error = (grid.dequantize(grid.quantize(values)) - values) * gradient.numpy()
            errors[name] += float(np.square(error, dtype=np.float64).sum())

    tensors = (*placement.observed, output)
    narrow = [edge for edge in placement.edges if edge not in placement.residual]
    for part in visit_gradients(graph, tensors, images, IMAGES, add, narrow):
        on_batch(part)
    together = torch.cat(logits)
    return together, {name: error / len(together) for name, error in errors.items()}
