"""What each convolution costs in two engines, and which of them are slower in INT8, by TensorRT's profiler.

A layer that computes no convolution (a reformat, a Q left alone, a pooling) is charged to the convolutions
that read what it writes, in equal parts: INT8 is to blame for the reformats that it needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Collection, Mapping, Sequence

import numpy as np

from ..quantile import quantile
from .layers import profiled_runs, read_layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .layers import Layer
    from .runner import TensorRTRunner

FUSED_BLOCK = "ForeignNode"
"""In the name of a layer that computes a part of the graph and names only the first and last node."""
ROUNDS, RUNS = 10, 10
"""Rounds in which the two engines take turns, and runs of one of them in a row."""


@dataclass(frozen=True)
class LayerCost:
    """The median time of a convolution, with what only prepares its input, in both engines."""

    name: str
    int8_ms: float
    fp16_ms: float
    is_slower: bool
    """Whether the intervals of both medians show that INT8 takes longer."""


def compare_layers(
    trt: Any, int8: TensorRTRunner, fp16: TensorRTRunner, convolutions: Collection[str], batch: int
) -> list[LayerCost]:
    """Profile both engines in alternation and compare the convolutions that stand alone in both.

    Raises ValueError if the inspector describes no layers.
    """
    both = (int8, fp16)
    layers = [read_layers(runner.inspect(trt)) for runner in both]
    runs: tuple[list[Mapping[str, float]], ...] = ([], [])
    for runner in both:
        profiled_runs(trt, runner, batch, RUNS)  # warms up
    for _ in range(ROUNDS):
        for runner, own in zip(both, runs):
            own.extend(profiled_runs(trt, runner, batch, RUNS))
    costs = [charged(own, times, convolutions) for own, times in zip(layers, runs)]
    known = [name for name in convolutions if all(name in one for one in costs)]
    return [_compared(name, costs[0][name], costs[1][name]) for name in known]


def charged(
    layers: Sequence[Layer], runs: Sequence[Mapping[str, float]], convolutions: Collection[str]
) -> dict[str, NDArray[np.float64]]:
    """Return the cost of each convolution in ms by run [runs].

    Convolutions that share a layer are left out: their times cannot be separated.
    """
    computes = {layer.name: _computed(layer, convolutions) for layer in layers}
    readers: dict[str, list[str]] = {}
    for layer in layers:
        for tensor in layer.reads:
            readers.setdefault(tensor, []).append(layer.name)
    behind = {layer.name: [r for t in layer.writes for r in readers.get(t, [])] for layer in layers}
    costs: dict[str, NDArray[np.float64]] = {}
    for layer in layers:
        times = np.array([run.get(layer.name, 0.0) for run in runs])
        for name, share in _shares(layer.name, computes, behind, frozenset()).items():
            costs[name] = costs.get(name, np.zeros(len(runs))) + share * times
    together = {name for found in computes.values() if len(found) > 1 for name in found}
    alone = {name for found in computes.values() for name in found} - together
    return {name: cost for name, cost in costs.items() if name in alone}


def _shares(
    name: str,
    computes: Mapping[str, Sequence[str]],
    behind: Mapping[str, Sequence[str]],
    passed: frozenset[str],
) -> dict[str, float]:
    """Return to which convolutions a layer is charged, and which part of it."""
    own = computes.get(name, ())
    following = [one for one in behind.get(name, ()) if one not in passed]
    found: dict[str, float] = {}
    if FUSED_BLOCK in name and not own:
        return {}
    if own:
        return {one: 1 / len(own) for one in own}
    for one in following:
        for convolution, share in _shares(one, computes, behind, passed | {name}).items():
            found[convolution] = found.get(convolution, 0.0) + share / len(following)
    return found


def _computed(layer: Layer, convolutions: Collection[str]) -> list[str]:
    if layer.is_reformat:  # its name may tell whose input it prepares
        return []
    text = f"{layer.name} {layer.origin}"
    return [name for name in convolutions if re.search(rf"(?<![\w/.]){re.escape(name)}(?![\w/.])", text)]


def _compared(name: str, int8: NDArray[np.float64], fp16: NDArray[np.float64]) -> LayerCost:
    slow, fast = quantile(int8, 0.5), quantile(fp16, 0.5)
    is_slower = fast.high is not None and slow.low > fast.high
    return LayerCost(name, slow.value, fast.value, is_slower)
