"""The noise of each layer: the logits with only that layer in 8 bits, and with all others in 8 bits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.metrics import Closeness, ImageDistances, closeness_of, logits
from calibration.onnx_graph import OnnxGraph, node_label
from calibration.parameters import Parameters
from calibration.placement import Placement, place
from calibration.prepare_float import Images
from calibration.produce import Produced
from calibration.qdq_reader import read_parameters
from calibration.qdq_writer import write_qdq
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe
from calibration.widened import widenable, with_wide


@dataclass(frozen=True)
class LayerDistances:
    """One Conv or Gemm: `alone` with only it (weights and input) in 8 bits, `without` with all but it."""

    alone: ImageDistances
    without: ImageDistances


@dataclass(frozen=True)
class LayerNoise:
    """The SQNR in dB of the logits with only one layer quantised: in 8 bits, and with an input of 16 bits.

    `wide_db` is None for an input that an engine cannot have in 16 bits.
    """

    int8_db: float
    wide_db: float | None


def layers_in_8_bits(float_model: Path, ranges: Ranges, recipe: QuantRecipe) -> tuple[str, ...]:
    """Return the names of the layers that a recipe quantises, in graph order. Raises ModelError."""
    graph = OnnxGraph.load(float_model)
    return tuple(node_label(graph.nodes[index]) for index in place(graph, recipe, wide=ranges.wide).layers)


def noise_alone(
    produced: Produced,
    recipe: QuantRecipe,
    evaluation: Images,
    reads_wide: bool,
    on_layer: Callable[[int], None] = lambda _: None,
) -> dict[str, LayerNoise]:
    """The noise of every layer by its node's name; with 16 bits too if the target `reads_wide` activations.

    `on_layer` is called with 1 after each layer. Raises ModelError if the files of `produced` do not belong
    together.
    """
    comparison = LayerComparison(produced, recipe, evaluation)
    graph, parameters = comparison.graph, comparison.parameters
    able = frozenset[str]()
    if reads_wide:
        able = widenable(graph, comparison.placement, parameters, recipe.scheme)
    found = {}
    for index in comparison.placement.layers:
        node, part = graph.nodes[index], comparison.placement.only(graph, index)
        wide = None
        if node.input[0] in able:
            wide = comparison.of(part, with_wide(parameters, (node.input[0],))).sqnr_db
        found[node.name] = LayerNoise(comparison.of(part).sqnr_db, wide)
        on_layer(1)
    return found


class LayerComparison:
    """The float model's logits, with which those of partly quantised models are compared.

    Logits come from onnxruntime's default session.
    """

    def __init__(self, produced: Produced, recipe: QuantRecipe, evaluation: Images) -> None:
        self.graph = OnnxGraph.load(produced.float_model)
        self._wide = produced.ranges.wide
        self.placement = place(self.graph, recipe, wide=self._wide)
        self.parameters = read_parameters(produced.quantized, self.graph, self.placement)
        self._recipe, self._evaluation = recipe, evaluation
        self._reference = logits(produced.float_model, evaluation())

    def distances(self, position: int) -> LayerDistances:
        """Compare with one layer quantised, and with all but it; `position` is its place among them."""
        index = self.placement.layers[position]
        node = self.graph.nodes[index]
        return LayerDistances(
            self._distances(self.placement.only(self.graph, index)),
            self._distances(place(self.graph, self._recipe, {node.name}, self._wide)),
        )

    def of(self, part: Placement, parameters: Parameters | None = None) -> Closeness:
        """Return how close the logits are to the float model's with this part quantised.

        `parameters` are used in place of the quantised model's own.
        """
        return closeness_of([self._distances(part, parameters)])

    def _distances(self, part: Placement, parameters: Parameters | None = None) -> ImageDistances:
        model = write_qdq(self.graph, part, parameters or self.parameters, self._recipe)
        return ImageDistances.between(self._reference, logits(model, self._evaluation()))
