"""Which layer costs how much: the logits with only that layer in 8 bits, and with all but it."""

from collections.abc import Callable
from dataclasses import dataclass

from calibration.graph import Graph, node_label
from calibration.metrics import Closeness, closeness, logits
from calibration.parameters import find_parameters
from calibration.placement import Placement, place
from calibration.produce import Images, Produced
from calibration.recipe import QuantRecipe
from calibration.write import write_qdq


@dataclass(frozen=True)
class LayerSensitivity:
    """One Conv or Gemm: `alone` with only it (weights and input) in 8 bits, `without` with all but it."""

    layer: str
    operator: str
    weights: int
    alone: Closeness
    without: Closeness


def sensitivity(
    produced: Produced,
    recipe: QuantRecipe,
    calibration: Images,
    evaluation: Images,
    on_layer: Callable[[int], None] = lambda _: None,
) -> list[LayerSensitivity]:
    """Measure every 8-bit layer of `produced`, in graph order, on `evaluation` images.

    Logits come from onnxruntime's default session.
    `calibration` are the images the model was produced from. `on_layer` is called with 1 after each layer.
    """
    graph = Graph.load(produced.float_model)
    placement = place(graph, recipe)
    images = calibration() if recipe.needs_images else ()
    parameters = find_parameters(graph, placement, produced.ranges, recipe, images)
    reference = logits(produced.float_model, evaluation())

    def compare(part: Placement) -> Closeness:
        return closeness(reference, logits(write_qdq(graph, part, parameters, recipe), evaluation()))

    table = []
    for index in placement.layers:
        node = graph.nodes[index]
        rest = place(graph, recipe, {node.name})
        table.append(
            LayerSensitivity(
                node_label(node),
                node.op_type,
                parameters.layers[index].weight.values.size,
                compare(placement.only(graph, index)),
                compare(rest),
            )
        )
        on_layer(1)
    return table
