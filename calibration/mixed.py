"""Accuracy-aware quantisation: leave the fewest layers in float for which the drop in accuracy passes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.coverage import layer_macs
from calibration.graph import Graph
from calibration.metrics import logits
from calibration.parameters import find_parameters
from calibration.placement import place
from calibration.produce import Images, Produced
from calibration.qdq import save_quantized
from calibration.recipe import QuantRecipe
from calibration.sensitivity import LayerSensitivity
from calibration.write import write_qdq

Correct = NDArray[np.bool_]
DropInterval = Callable[[Correct, Correct], tuple[float, float]]
"""The paired interval of the drop in top-1, from which images the float and the int8 model get right."""


@dataclass(frozen=True)
class Goal:
    """On `images` with `labels` [N] the drop's `interval` must not end above `max_drop`, in [0, 1].

    The images must be in neither the calibration nor the evaluation set.
    """

    images: Images
    labels: NDArray[np.int64]
    interval: DropInterval
    max_drop: float


@dataclass(frozen=True)
class FloatLayer:
    """A layer left in float. Why: the SQNR with it alone in 8 bits. What it costs: its share of the MACs."""

    layer: str
    alone_sqnr_db: float
    macs_share: float


@dataclass(frozen=True)
class MixedPrecision:
    """Which layers stay in float, the interval of the drop on the tuning images, and whether it passes."""

    layers: tuple[FloatLayer, ...]
    drop: tuple[float, float]
    passes: bool


def quantize_within(
    produced: Produced,
    recipe: QuantRecipe,
    calibration: Images,
    goal: Goal,
    table: Sequence[LayerSensitivity],
    output: Path,
) -> MixedPrecision:
    """Write to `output` the Q/DQ model of `produced` with as few layers in float as reach `goal`.

    Layers go to float in the order of the noise they cause alone (`table`, from `sensitivity`): the shortest
    passing prefix is found by bisection, then layers that turn out not to be needed go back to 8 bits, the
    most expensive first. If not even all in float pass, all stay in 8 bits and `passes` is False: then the
    goal's images are too few, or its max_drop too strict.
    """
    search = _Search(produced, recipe, calibration, goal)
    ranked = [row.layer for row in sorted(table, key=lambda row: row.alone.sqnr_db)]
    share = macs_shares(search.graph)
    low, high = 0, len(ranked)
    if search.fails(()) and search.fails(ranked):
        chosen: list[str] = []
    else:
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if search.fails(ranked[:middle]) else (low, middle)
        chosen = ranked[:low]
        for layer in sorted(chosen, key=lambda name: -share[name]):
            fewer = [name for name in chosen if name != layer]
            if not search.fails(fewer):
                chosen = fewer
    drop = search.drop(chosen)
    placement = place(search.graph, recipe, chosen)
    save_quantized(search.graph, placement, search.parameters, recipe, output)
    alone = {row.layer: row.alone.sqnr_db for row in table}
    layers = tuple(FloatLayer(name, alone[name], share[name]) for name in chosen)
    return MixedPrecision(layers, drop, drop[1] <= goal.max_drop)


def macs_shares(graph: Graph) -> dict[str, float]:
    """The share of each Conv and Gemm node, by name, in all multiply-accumulates of one image."""
    macs = layer_macs(graph)
    total = sum(macs.values())
    return {name: count / total for name, count in macs.items()}


class _Search:
    """Evaluates choices of float layers on the tuning split, each choice once."""

    def __init__(self, produced: Produced, recipe: QuantRecipe, calibration: Images, goal: Goal) -> None:
        self.graph = Graph.load(produced.float_model)
        self.recipe, self.goal = recipe, goal
        images = calibration() if recipe.needs_images else ()
        self.parameters = find_parameters(
            self.graph, place(self.graph, recipe), produced.ranges, recipe, images
        )
        self.correct = self._correct(produced.float_model)
        self._seen: dict[frozenset[str], tuple[float, float]] = {}

    def drop(self, in_float: Sequence[str]) -> tuple[float, float]:
        key = frozenset(in_float)
        if key not in self._seen:
            model = write_qdq(self.graph, place(self.graph, self.recipe, key), self.parameters, self.recipe)
            self._seen[key] = self.goal.interval(self.correct, self._correct(model))
        return self._seen[key]

    def fails(self, in_float: Sequence[str]) -> bool:
        return self.drop(in_float)[1] > self.goal.max_drop

    def _correct(self, model: Path | onnx.ModelProto) -> Correct:
        right: Correct = logits(model, self.goal.images()).argmax(axis=1) == self.goal.labels
        return right
