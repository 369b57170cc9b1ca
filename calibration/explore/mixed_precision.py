"""Accuracy-aware quantisation: as little precision beyond 8 bits as the allowed drop in accuracy needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.coverage import layer_macs
from calibration.explore.precision_steps import LayerPrice, Precision, PrecisionStep, prices_of, steps
from calibration.explore.sensitivity import LayerNoise
from calibration.metrics import logits
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters
from calibration.placement import Placement, place
from calibration.prepare_float import Images
from calibration.produce import Produced
from calibration.qdq import save_quantized
from calibration.qdq_reader import read_parameters
from calibration.qdq_writer import write_qdq
from calibration.recipe import QuantRecipe
from calibration.widened import with_wide

Correct = NDArray[np.bool_]
Choice = dict[str, Precision]
"""The layers that have more than 8 bits."""
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
class ChosenPrecision:
    """A layer that has more than 8 bits, with the reason and the price.

    The reason: the noise that it makes alone, and by how much the end of the drop's interval, in [0, 1],
    would rise with this layer in 8 bits. The price: its share of the MACs, and the time that it adds as an
    estimated share of the network's.
    """

    layer: str
    precision: Precision
    noise: LayerNoise
    saved_drop: float
    macs_share: float
    added_time: float


@dataclass(frozen=True)
class PrecisionMix:
    """The layers with more than 8 bits, and the resulting interval of the drop on the tuning images.

    `all_int8` is the interval with every layer in 8 bits, from which the search starts; `all_float` the one
    with none, the best that these images can show. `passes`: whether the goal is reached.
    """

    layers: tuple[ChosenPrecision, ...]
    drop: tuple[float, float]
    all_int8: tuple[float, float]
    all_float: tuple[float, float]
    passes: bool


def quantize_within(
    produced: Produced,
    recipe: QuantRecipe,
    goal: Goal,
    noise: Mapping[str, LayerNoise],
    output: Path,
    on_try: Callable[[int], None] = lambda _: None,
) -> PrecisionMix:
    """Write to `output` the Q/DQ model of `produced` with as little more precision as reaches `goal`.

    The shortest beginning of `precision_steps.steps` that passes is found by bisection. Then layers that turn
    out not to need it go back to 16 or 8 bits, the most expensive first. `noise` comes from `noise_alone`. If
    not even all layers in float pass, all stay in 8 bits and `passes` is False: then the goal's images are
    too few, or its max_drop too strict. `on_try` is called with 1 after each model tried. Raises ModelError
    if the files of `produced` do not belong together.
    """
    search = _Search(produced, recipe, goal, on_try)
    prices = prices_of(search.graph, search.placement, noise)
    in_float = dict.fromkeys(noise, Precision.FLOAT)
    chosen: Choice = {}
    if search.fails(chosen) and not search.fails(in_float):
        chosen = search.without_the_needless(search.fewest(steps(noise, prices)), prices)
    save_quantized(search.graph, *search.parts(chosen), recipe, output)
    share = macs_shares(search.graph)
    layers = tuple(
        ChosenPrecision(
            name, kind, noise[name], search.saved(chosen, name), share[name], prices[name].of(kind)
        )
        for name, kind in chosen.items()
    )
    drop, all_int8 = search.drop(chosen), search.drop({})
    all_float = search.drop(in_float) if search.fails({}) else drop
    return PrecisionMix(layers, drop, all_int8, all_float, drop[1] <= goal.max_drop)


def macs_shares(graph: OnnxGraph) -> dict[str, float]:
    """The share of each Conv and Gemm node, by name, in all multiply-accumulates of one image."""
    macs = layer_macs(graph)
    total = sum(macs.values())
    return {name: count / total for name, count in macs.items()}


class _Search:
    """Evaluates choices of layers with more than 8 bits on the tuning split, each choice once."""

    def __init__(
        self, produced: Produced, recipe: QuantRecipe, goal: Goal, on_try: Callable[[int], None]
    ) -> None:
        self.graph = OnnxGraph.load(produced.float_model)
        self.recipe, self.goal, self.on_try = recipe, goal, on_try
        self.wide = produced.ranges.wide
        self.placement = place(self.graph, recipe, wide=self.wide)
        self.parameters = read_parameters(produced.quantized, self.graph, self.placement)
        self.correct = self._correct(produced.float_model)
        self._seen: dict[frozenset[tuple[str, Precision]], Correct] = {}

    def fewest(self, ranked: Sequence[PrecisionStep]) -> Choice:
        """The shortest beginning of `ranked` that passes, as far as bisection finds it."""
        low, high = 0, len(ranked)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.fails(_after(ranked[:middle])) else (low, middle)
        return _after(ranked[:low])

    def without_the_needless(self, chosen: Choice, prices: Mapping[str, LayerPrice]) -> Choice:
        """Let each layer go back as far as the goal permits, the most expensive one first."""
        for layer in sorted(chosen, key=lambda name: -prices[name].of(chosen[name])):
            fewer = _without(chosen, layer)
            narrower = [fewer]
            if chosen[layer] is Precision.FLOAT and prices[layer].wide is not None:
                narrower.append(fewer | {layer: Precision.WIDE})
            chosen = next((each for each in narrower if not self.fails(each)), chosen)
        return chosen

    def drop(self, chosen: Choice) -> tuple[float, float]:
        """The interval of the drop with this choice."""
        return self.goal.interval(self.correct, self._with(chosen))

    def saved(self, chosen: Choice, layer: str) -> float:
        """How much higher the interval ends if `layer` leaves `chosen`."""
        return self.drop(_without(chosen, layer))[1] - self.drop(chosen)[1]

    def fails(self, chosen: Choice) -> bool:
        return self.drop(chosen)[1] > self.goal.max_drop

    def parts(self, chosen: Choice) -> tuple[Placement, Parameters]:
        """What is quantised under a choice, and by which numbers."""
        in_float = [name for name, kind in chosen.items() if kind is Precision.FLOAT]
        wide = [node.input[0] for node in self.graph.nodes if chosen.get(node.name) is Precision.WIDE]
        return place(self.graph, self.recipe, in_float, self.wide), with_wide(self.parameters, wide)

    def _with(self, chosen: Choice) -> Correct:
        key = frozenset(chosen.items())
        if key not in self._seen:
            self._seen[key] = self._correct(write_qdq(self.graph, *self.parts(chosen), self.recipe))
            self.on_try(1)
        return self._seen[key]

    def _correct(self, model: Path | onnx.ModelProto) -> Correct:
        right: Correct = logits(model, self.goal.images()).argmax(axis=1) == self.goal.labels
        return right


def _after(taken: Sequence[PrecisionStep]) -> Choice:
    return {step.layer: step.precision for step in taken}


def _without(chosen: Choice, layer: str) -> Choice:
    return {name: kind for name, kind in chosen.items() if name != layer}
