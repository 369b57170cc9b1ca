"""Accuracy-aware quantisation: leaves as few layers in float as the allowed drop in accuracy needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.coverage import layer_macs
from calibration.metrics import logits
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.prepare_float import Images
from calibration.produce import Produced
from calibration.qdq import save_quantized
from calibration.qdq_reader import read_parameters
from calibration.qdq_writer import write_qdq
from calibration.recipe import QuantRecipe

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
class KeptInFloat:
    """A layer left in float, with the reason and the cost.

    The reason: the SQNR in dB of the logits with only this layer in 8 bits, and by how much the end of the
    drop's interval, in [0, 1], would rise with this layer in 8 bits. The cost: its share of the MACs.
    """

    layer: str
    alone_sqnr_db: float
    saved_drop: float
    macs_share: float


@dataclass(frozen=True)
class PrecisionMix:
    """The layers in float, the resulting interval of the drop on the tuning images, and whether it passes.

    `all_int8` is the interval with every layer in 8 bits, from which the search starts; `all_float` the one
    with none, the best that these images can show.
    """

    layers: tuple[KeptInFloat, ...]
    drop: tuple[float, float]
    all_int8: tuple[float, float]
    all_float: tuple[float, float]
    passes: bool


def quantize_within(
    produced: Produced,
    recipe: QuantRecipe,
    goal: Goal,
    alone: Mapping[str, float],
    output: Path,
    on_try: Callable[[int], None] = lambda _: None,
) -> PrecisionMix:
    """Write to `output` the Q/DQ model of `produced` with as few layers in float as reach `goal`.

    Layers go to float in the order of the noise they cause alone (`alone`, from `noise_alone`): the shortest
    passing prefix is found by bisection, then layers that turn out not to be needed go back to 8 bits, the
    most expensive first. If not even all in float pass, all stay in 8 bits and `passes` is False: then the
    goal's images are too few, or its max_drop too strict. `on_try` is called with 1 after each model tried.
    Raises ModelError if the files of `produced` do not belong together.
    """
    search = _Search(produced, recipe, goal, on_try)
    ranked = sorted(alone, key=lambda name: alone[name])
    share = macs_shares(search.graph)
    chosen = search.fewest(ranked) if search.fails(()) and not search.fails(ranked) else []
    for layer in sorted(chosen, key=lambda name: -share[name]):
        fewer = [name for name in chosen if name != layer]
        if not search.fails(fewer):
            chosen = fewer
    placement = place(search.graph, recipe, chosen)
    save_quantized(search.graph, placement, search.parameters, recipe, output)
    layers = tuple(KeptInFloat(name, alone[name], search.saved(chosen, name), share[name]) for name in chosen)
    drop, all_int8 = search.drop(chosen), search.drop(())
    all_float = search.drop(ranked) if search.fails(()) else drop
    return PrecisionMix(layers, drop, all_int8, all_float, drop[1] <= goal.max_drop)


def macs_shares(graph: OnnxGraph) -> dict[str, float]:
    """The share of each Conv and Gemm node, by name, in all multiply-accumulates of one image."""
    macs = layer_macs(graph)
    total = sum(macs.values())
    return {name: count / total for name, count in macs.items()}


class _Search:
    """Evaluates choices of float layers on the tuning split, each choice once."""

    def __init__(
        self, produced: Produced, recipe: QuantRecipe, goal: Goal, on_try: Callable[[int], None]
    ) -> None:
        self.graph = OnnxGraph.load(produced.float_model)
        self.recipe, self.goal, self.on_try = recipe, goal, on_try
        self.parameters = read_parameters(produced.quantized, self.graph, place(self.graph, recipe))
        self.correct = self._correct(produced.float_model)
        self._seen: dict[frozenset[str], Correct] = {}

    def fewest(self, ranked: Sequence[str]) -> list[str]:
        """The shortest beginning of `ranked` that passes in float, as far as bisection finds it."""
        low, high = 0, len(ranked)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.fails(ranked[:middle]) else (low, middle)
        return list(ranked[:low])

    def drop(self, in_float: Sequence[str]) -> tuple[float, float]:
        """The interval of the drop with these layers in float."""
        return self.goal.interval(self.correct, self._with(in_float))

    def saved(self, chosen: Sequence[str], layer: str) -> float:
        """How much higher the interval ends if `layer` leaves `chosen`."""
        return self.drop([name for name in chosen if name != layer])[1] - self.drop(chosen)[1]

    def fails(self, in_float: Sequence[str]) -> bool:
        return self.drop(in_float)[1] > self.goal.max_drop

    def _with(self, in_float: Sequence[str]) -> Correct:
        key = frozenset(in_float)
        if key not in self._seen:
            placement = place(self.graph, self.recipe, key)
            self._seen[key] = self._correct(write_qdq(self.graph, placement, self.parameters, self.recipe))
            self.on_try(1)
        return self._seen[key]

    def _correct(self, model: Path | onnx.ModelProto) -> Correct:
        right: Correct = logits(model, self.goal.images()).argmax(axis=1) == self.goal.labels
        return right
