"""What rounding a layer's weights does to the means of its channels, which a bias correction takes back.

Rounding changes sum(w x) by sum(error x). Inputs behind a ReLU have means above 0, so the errors of one
channel do not cancel over pixels and pictures (Nagel and others 2019, "Data-free quantization", section 4.2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.decibels import by_channel
from pipeline.difference.place import Array, GraphPlace, Sides
from pipeline.difference.real_graph import LAYERS

OTHER_GAIN = 0.1
"""Gains this far from 1 are meant: B holds the tensor on another scale."""
CORRECT = "Round weights to the nearest step, and correct biases afterwards (edgec: `bc` in the recipe)."


@dataclass(frozen=True)
class MeanShift:
    """How much larger the means of B's channels are than A's, both given B's inputs."""

    by: Array
    """float64 [channels]."""
    share: float
    """Root mean square over channels, in standard deviations of the channel."""

    @property
    def words(self) -> str:
        """Say how far the means are shifted."""
        return f"B's channels are shifted by {100 * self.share:.0f} % of their standard deviation"

    @property
    def affine(self) -> ChannelAffine:
        """Return it as gains, of 1, and shifts."""
        return ChannelAffine(np.ones_like(self.by), self.by)


def shift_of(found: Array, expected: Array) -> MeanShift:
    """Return how much larger the channel means of B's output `expected` [N, C, ...] are than A's `found`."""
    ours, theirs = by_channel(found), by_channel(expected)
    by = theirs.mean(1) - ours.mean(1)
    spread = np.maximum(ours.std(1), 1e-6 * max(1e-30, float(ours.std())))
    return MeanShift(by, float(np.sqrt(((by / spread) ** 2).mean())))


def layer_place(sides: Sides, tensor: str) -> GraphPlace:
    """Return where A computes a tensor. A first layer is given A's values: B may fold what is before it."""
    node = sides.a.producer(tensor)
    is_first = node is not None and node.operator in LAYERS and not set(node.inputs) & sides.a.behind_layer
    return sides.first_layer(tensor) if is_first else sides.place(tensor)


def mean_shift(sides: Sides, rescaled: Mapping[str, ChannelAffine], tensor: str) -> MeanShift | None:
    """Return the shift of a layer's output; None where B has no such layer, or other gains here."""
    place = layer_place(sides, tensor)
    if place.layer is None or place.counterpart is None or place.counterpart.operator != place.node.operator:
        return None
    gains = [rescaled[name].gain for name in (tensor, *place.given) if name in rescaled]
    if any(abs(gain - 1).max() > OTHER_GAIN for gain in gains):
        return None
    found = place.run()
    if found.shape != place.expected.shape or not np.isfinite(found).all():
        return None
    return shift_of(found, place.expected)
