"""A model of how quantisation noise reaches the logits, and the channel factors that minimise it.

Rounding at a step d adds noise of variance d^2 / 12 to each value. For a tensor with channel factors e (the
network holds x_c / e_c) and channel extremes r_c, the step is max(r_c / e_c) / levels, and the noise reaches
the logits with power

    A = (step^2 / 12) * sum_c e_c^2 G_c,      G_c = sum over the channel's positions of |d logits / d x|^2.

Output channel k of a layer has weight step s_k = max_c(|w_kc| e_c) / 127; the layer's noise reaches the
logits with power

    B = sum_k (s_k^2 / 12) G_k * taps * sum_c E[x_c^2] / e_c^2.

G comes from the gradients of `logit_gradients`. The sum of A and a share of B (second-order rounding takes
most of it away) is minimised over log e by gradient descent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.channels import ChannelGroups
from calibration.errors import ImagesError
from calibration.grid import WEIGHT_LIMIT
from calibration.logit_gradients import logit_gradients
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import Placement
from calibration.scheme import Scheme
from calibration.weight_layers import layer_weights

IMAGES = 256
EXTREME = 0.999
POSITIONS = 512
WEIGHT_SHARE = 0.3
STEPS, RATE = 300, 0.02


@dataclass
class ChannelStatistics:
    """Of one tensor, float64 [C]: noise gain G, mean square, extreme (a batch's 99.9 % quantile of |x|)."""

    gain: Tensor
    power: Tensor
    extreme: Tensor
    batches: int = 0


def channel_statistics(
    graph: OnnxGraph,
    tensors: tuple[str, ...],
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> dict[str, ChannelStatistics]:
    """Measure `tensors` on the first IMAGES images. Raises ImagesError if there are none."""
    found: dict[str, ChannelStatistics] = {}
    for images, gradients in logit_gradients(graph, tensors, batches, IMAGES):
        for name, (x, gradient) in gradients.items():
            _add(found, name, x, gradient)
        on_batch(images)
    if not found:
        raise ImagesError("Equalisation needs calibration images, and there are none.")
    for statistics in found.values():
        statistics.power /= statistics.batches
    return found


def _add(found: dict[str, ChannelStatistics], name: str, x: Tensor, gradient: Tensor) -> None:
    values = x.transpose(0, 1).flatten(1)
    gain = gradient.transpose(0, 1).flatten(1).double().square().sum(1)
    power = values.double().square().mean(1)
    every = max(1, values.shape[1] // (POSITIONS * len(x))) | 1
    sampled = values[:, ::every].abs()
    above = max(1, round((1 - EXTREME) * sampled.shape[1]))
    extreme = sampled.topk(above, dim=1).values[:, -1].double()
    if name not in found:
        zeros = torch.zeros_like(gain)
        found[name] = ChannelStatistics(zeros, zeros.clone(), zeros.clone())
    seen = found[name]
    seen.gain, seen.power = seen.gain + gain, seen.power + power
    seen.extreme = torch.maximum(seen.extreme, extreme)
    seen.batches += 1


def quietest_factors(
    graph: OnnxGraph,
    placement: Placement,
    scheme: Scheme,
    groups: ChannelGroups,
    seen: Mapping[str, ChannelStatistics],
) -> NDArray[np.float64]:
    """float64 [groups.count]: the factor e of each channel group that makes the modelled noise least."""
    levels = 127 if scheme is Scheme.SYM else 255
    tensors = [
        (seen[t], torch.from_numpy(groups.of(t, len(seen[t].gain)))) for t in placement.observed if t in seen
    ]
    layers = [
        _layer_terms(graph, i, groups, seen)
        for i in placement.layers
        if graph.nodes[i].input[0] in seen and graph.nodes[i].output[0] in seen
    ]
    free = torch.zeros(groups.count, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([free], lr=RATE)
    for _ in range(STEPS):
        factors = torch.cat([torch.ones(1, dtype=torch.float64), free[1:].exp()])
        noise = sum((_activation_noise(s, factors[ids], levels) for s, ids in tensors), torch.zeros(()))
        noise = noise + WEIGHT_SHARE * sum((term(factors) for term in layers), torch.zeros(()))
        optimizer.zero_grad()
        noise.log().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return factors.detach().numpy()


def _activation_noise(seen: ChannelStatistics, factors: Tensor, levels: int) -> Tensor:
    step = (seen.extreme / factors).max() / levels
    return step.square() / 12 * (factors.square() * seen.gain).sum()


def _layer_terms(
    graph: OnnxGraph, index: int, groups: ChannelGroups, seen: Mapping[str, ChannelStatistics]
) -> Callable[[Tensor], Tensor]:
    """The weight noise of one layer as a function of all groups' factors."""
    node = graph.nodes[index]
    weight = torch.from_numpy(np.array(layer_weights(graph, index, None).weight)).double()
    parts = attribute(node, "group", 1) if node.op_type == "Conv" else 1
    weight = weight.reshape(parts, -1, *weight.shape[1:2], weight[0, 0].numel())
    largest, taps = weight.abs().amax(3), weight.shape[3]
    ids = torch.from_numpy(groups.of(node.input[0], parts * weight.shape[2]))
    power = seen[node.input[0]].power.reshape(parts, -1)
    gain = seen[node.output[0]].gain.reshape(parts, -1)

    def noise(factors: Tensor) -> Tensor:
        e = factors[ids].reshape(parts, -1)
        step = (largest * e[:, None]).amax(2) / WEIGHT_LIMIT
        return (step.square() / 12 * gain).sum(1) @ (power / e.square()).sum(1) * taps

    return noise
