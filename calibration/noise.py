"""A model of how quantisation noise reaches the logits, and the channel factors that minimise it.

Rounding at a step d adds noise of variance d^2 / 12 to each value. For a tensor with channel factors e (the
network holds x_c / e_c) and channel extremes r_c, the step is max(r_c / e_c) / levels, and the noise reaches
the logits with power

    A = (step^2 / 12) * sum_c e_c^2 G_c,      G_c = sum over the channel's positions of |d logits / d x|^2.

Output channel k of a layer has weight step s_k = max_c(|w_kc| e_c) / 127; the layer's noise reaches the
logits with power

    B = sum_k (s_k^2 / 12) G_k * taps * sum_c E[x_c^2] / e_c^2.

G comes from `logit_gradients`. The sum of A and a share of B (second-order rounding takes
most of it away) is minimised over log e by gradient descent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.channels import ChannelGroups
from calibration.errors import ImagesError
from calibration.grid import WEIGHT_LIMIT
from calibration.image_extremes import SCALE
from calibration.logit_gradients import visit_gradients
from calibration.onnx_graph import OnnxGraph, attribute
from calibration.placement import Placement
from calibration.scheme import Scheme
from calibration.weight_layers import layer_weights

IMAGES = 128
EXTREME = 0.999
EXPECTED_OF = 4096
"""The number of images whose extremes channels are scaled for."""
POSITIONS = 512
WEIGHT_SHARE = 0.3
STEPS, RATE = 300, 0.02
MEAN_DECAY, SQUARE_DECAY, TINY = 0.9, 0.999, 1e-8


@dataclass
class ChannelStatistics:
    """Of one tensor, float64 [C]: noise gain G, mean square, and the extreme that it is expected to reach.

    An image's extreme is its 99.9 % quantile of |x|. The one expected of many images follows from the mean
    and the deviation of those seen, by Gumbel's distribution (see `image_extremes`). The largest one seen
    would let a channel that is small on these images take more of the grid than it has room for.
    """

    gain: Tensor
    power: Tensor
    extreme: Tensor


@dataclass
class _Sums:
    """Sums over images, float64 [C], and the largest extreme seen."""

    gain: Tensor
    power: Tensor
    extreme: Tensor
    square: Tensor
    largest: Tensor
    images: int = field(default=0, kw_only=True)

    def statistics(self) -> ChannelStatistics:
        mean = self.extreme / self.images
        deviation = (self.square / self.images - mean.square()).clamp(min=0).sqrt()
        expected = mean + SCALE * deviation * (log(EXPECTED_OF) - np.euler_gamma)
        return ChannelStatistics(self.gain, self.power / self.images, torch.maximum(self.largest, expected))


def channel_statistics(
    graph: OnnxGraph,
    tensors: tuple[str, ...],
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> dict[str, ChannelStatistics]:
    """Measure `tensors` on the first IMAGES images. Raises ImagesError if there are none."""
    found: dict[str, _Sums] = {}
    for part in visit_gradients(graph, tensors, batches, IMAGES, partial(_add, found)):
        on_batch(part)
    if not found:
        raise ImagesError("Equalisation needs calibration images, and there are none.")
    return {name: sums.statistics() for name, sums in found.items()}


def _add(found: dict[str, _Sums], name: str, x: Tensor, gradient: Tensor) -> None:
    values = x.reshape(*x.shape[:2], -1)
    gain = gradient.reshape(values.shape).square().sum(2).double().sum(0)
    power = values.square().mean(2).double().sum(0)
    every = max(1, values.shape[2] // POSITIONS) | 1
    sampled = values[:, :, ::every].abs()
    above = max(1, round((1 - EXTREME) * sampled.shape[2]))
    extremes = sampled.topk(above, dim=2).values[:, :, -1].double()
    seen = found.setdefault(name, _Sums(*(torch.zeros_like(gain) for _ in range(5))))
    seen.gain, seen.power = seen.gain + gain, seen.power + power
    seen.extreme, seen.square = seen.extreme + extremes.sum(0), seen.square + extremes.square().sum(0)
    seen.largest = torch.maximum(seen.largest, extremes.amax(0))
    seen.images += len(x)


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

    def noise(factors: Tensor) -> Tensor:
        rounded = sum((_activation_noise(s, factors[ids], levels) for s, ids in tensors), torch.zeros(()))
        return rounded + WEIGHT_SHARE * sum((term(factors) for term in layers), torch.zeros(()))

    return _least(lambda logarithms: noise(logarithms.exp()).log(), groups.count).exp().numpy()


def _least(value: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """float64 [count], the first one 0: after STEPS steps from zeros towards the least `value`.

    Kingma & Ba, "Adam: A Method for Stochastic Optimization" (ICLR 2015), algorithm 1. torch's own Adam takes
    three seconds to import a compiler that is not used, which leaves a folder among the temporary files.
    """
    x = torch.zeros(count, dtype=torch.float64)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(1, STEPS + 1):
        at = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(value(at), at)
        gradient[0] = 0
        mean = MEAN_DECAY * mean + (1 - MEAN_DECAY) * gradient
        square = SQUARE_DECAY * square + (1 - SQUARE_DECAY) * gradient.square()
        scale = (square / (1 - SQUARE_DECAY**step)).sqrt() + TINY
        x = x - RATE * mean / (1 - MEAN_DECAY**step) / scale
    return x


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
