"""Finding the numbers of a quantised model, layer by layer, and then all together if the recipe says so."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from calibration.grid import activation_grid
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters, QuantizedLayer
from calibration.placement import Placement
from calibration.ranges import Ranges
from calibration.recipe import LEARN_EPOCHS, LEARN_FROM, Correction, QuantRecipe
from calibration.rounding import quantize_layer
from calibration.weight_layers import layer_weights


def images_read(recipe: QuantRecipe, images: int) -> int:
    """How many images `find_parameters` reports to `on_batch`, given so many."""
    learned = LEARN_EPOCHS * min(images, LEARN_FROM) if recipe.has(Correction.LEARNED) else 0
    return learned + (images if recipe.needs_moments else 0)


def find_parameters(
    graph: OnnxGraph,
    placement: Placement,
    ranges: Ranges,
    recipe: QuantRecipe,
    images: Iterable[NDArray[np.uint8]] = (),
    on_batch: Callable[[int], None] = lambda _: None,
) -> Parameters:
    """Decide every number. `images` are read if `recipe.needs_images`; errors as `qdq.quantize`."""
    found = {source: ranges.tensors[source] for source in placement.observed}
    grids = {
        tensor: activation_grid(found[source].low, found[source].high, recipe.scheme)
        for tensor, source in placement.tensors.items()
    }
    if recipe.has(Correction.LEARNED):
        images = list(images)  # read twice; they stay small as uint8
    if recipe.needs_moments:
        from calibration.moments import collect_moments

        moments = collect_moments(graph, placement, grids, images, on_batch, recipe.needs_covariance)
    else:
        moments = {}
    layers = {}
    for index in placement.layers:
        layer = layer_weights(graph, index, placement.pixels)
        read = graph.nodes[index].input[0]
        input_scale = float(grids[read].scale) if read in grids else 1.0
        layers[index] = QuantizedLayer(*quantize_layer(layer, input_scale, recipe, moments.pop(index, None)))
    found_all = Parameters(grids, layers)
    if recipe.has(Correction.LEARNED):
        from calibration.learned import learn

        return learn(graph, placement, found_all, images, on_batch)
    return found_all
