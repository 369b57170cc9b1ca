"""The cost of each layer: the logits with only that layer in 8 bits, and with all others in 8 bits."""

from collections.abc import Callable
from dataclasses import dataclass

from calibration.metrics import Closeness, closeness, logits
from calibration.onnx_graph import OnnxGraph, node_label
from calibration.placement import Placement, place
from calibration.prepare_float import Images
from calibration.produce import Produced
from calibration.qdq_reader import read_parameters
from calibration.qdq_writer import write_qdq
from calibration.recipe import QuantRecipe


@dataclass(frozen=True)
class LayerNoise:
    """One Conv or Gemm: `alone` with only it (weights and input) in 8 bits, `without` with all but it."""

    layer: str
    operator: str
    weights: int
    alone: Closeness
    without: Closeness


def sensitivity(
    produced: Produced,
    recipe: QuantRecipe,
    evaluation: Images,
    on_layer: Callable[[int], None] = lambda _: None,
) -> list[LayerNoise]:
    """Measure every 8-bit layer of `produced`, in graph order, on `evaluation` images.

    Logits come from onnxruntime's default session. `on_layer` is called with 1 after each layer. Raises
    ModelError if the files of `produced` do not belong together.
    """
    comparison = _Comparison(produced, recipe, evaluation)
    graph, table = comparison.graph, []
    for index in comparison.placement.layers:
        node = graph.nodes[index]
        table.append(
            LayerNoise(
                node_label(node),
                node.op_type,
                comparison.parameters.layers[index].weight.values.size,
                comparison.of(comparison.placement.only(graph, index)),
                comparison.of(place(graph, recipe, {node.name})),
            )
        )
        on_layer(1)
    return table


def noise_alone(
    produced: Produced,
    recipe: QuantRecipe,
    evaluation: Images,
    on_layer: Callable[[int], None] = lambda _: None,
) -> dict[str, float]:
    """The SQNR in dB of the logits with only one layer in 8 bits, for every layer by its node's name.

    Half the work of `sensitivity`, and sufficient for a ranking. Arguments and errors are the same.
    """
    comparison = _Comparison(produced, recipe, evaluation)
    found = {}
    for index in comparison.placement.layers:
        alone = comparison.of(comparison.placement.only(comparison.graph, index))
        found[comparison.graph.nodes[index].name] = alone.sqnr_db
        on_layer(1)
    return found


class _Comparison:
    """The float model's logits, with which those of partly quantised models are compared."""

    def __init__(self, produced: Produced, recipe: QuantRecipe, evaluation: Images) -> None:
        self.graph = OnnxGraph.load(produced.float_model)
        self.placement = place(self.graph, recipe)
        self.parameters = read_parameters(produced.quantized, self.graph, self.placement)
        self._recipe, self._evaluation = recipe, evaluation
        self._reference = logits(produced.float_model, evaluation())

    def of(self, part: Placement) -> Closeness:
        model = write_qdq(self.graph, part, self.parameters, self._recipe)
        return closeness(self._reference, logits(model, self._evaluation()))
