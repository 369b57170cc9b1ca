"""Writes weights that do not fit 8 bits as sums of weights that do: exact, at the cost of more products.

uint8 weights around a zero point are integers from -255 to 255. The channels that they are multiplied with
are given to the layer twice or three times, and each copy gets a part of the weight: x * w = x * a + x * b.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.grid import WEIGHT_LIMIT
from pipeline.models.foreign.quantised.weighted_layer import WeightedLayer

Integers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class SplitWeights:
    """Parts of 8 bits, output channel first, for an input whose channels were copied.

    `copied` [inputs] says which channel of the input each one is.
    """

    parts: NDArray[np.int8]
    copied: tuple[int, ...]


def split(layer: WeightedLayer, lowest: int) -> SplitWeights | None:
    """Split the weights of a layer; None where all are in [`lowest`, 127]."""
    if layer.integers.min(initial=0) >= lowest and layer.integers.max(initial=0) <= WEIGHT_LIMIT:
        return None
    groups = layer.groups if layer.is_conv else 1
    grouped = layer.integers.reshape(groups, -1, *layer.integers.shape[1:])
    width = grouped.shape[2]
    columns: list[list[tuple[int, Integers]]] = [[] for _ in range(groups)]
    for group, weights in enumerate(grouped):
        rest = weights
        while np.abs(rest).max(initial=0) > 0:
            part = np.clip(rest, lowest, WEIGHT_LIMIT)
            wanted = range(width) if rest is weights else np.flatnonzero(_by_channel(rest))
            columns[group] += [(int(channel), part[:, channel]) for channel in wanted]
            rest = rest - part
    longest = max(len(one) for one in columns)
    nothing = 0, np.zeros_like(grouped[0, :, 0])
    padded = [one + [nothing] * (longest - len(one)) for one in columns]
    parts = np.concatenate([np.stack([part for _, part in one], axis=1) for one in padded])
    copied = tuple(group * width + channel for group, one in enumerate(padded) for channel, _ in one)
    return SplitWeights(parts.astype(np.int8), copied)


def _by_channel(weights: Integers) -> Integers:
    """Return the largest weight of each input channel of a group, [inputs]."""
    largest: Integers = np.abs(np.moveaxis(weights, 1, 0)).reshape(weights.shape[1], -1).max(axis=1)
    return largest
