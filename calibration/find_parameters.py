"""Finds the parameters of a quantised model layer by layer, and then all together if the recipe says so."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from calibration.correction import BiasCorrection, Learning, WeightRounding, WeightScaling
from calibration.grid import activation_grid, round_weight, weight_scales
from calibration.moments import InputMoments, collect_moments
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters, QuantizedLayer
from calibration.placement import Placement
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe
from calibration.weight_layers import LayerWeights, layer_weights


def images_read(recipe: QuantRecipe, images: int) -> int:
    """How many images `find_parameters` reports to `on_batch`, given so many."""
    learned = [one.images_read(images) for one in recipe.of_kind(Learning)]
    return sum(learned) + (images if recipe.needs_moments else 0)


def find_parameters(
    graph: OnnxGraph,
    placement: Placement,
    ranges: Ranges,
    recipe: QuantRecipe,
    images: Iterable[NDArray[np.uint8]] = (),
    on_batch: Callable[[int], None] = lambda _: None,
) -> Parameters:
    """Decide all parameters. `images` are read if `recipe.needs_images`; errors as `qdq.quantize`."""
    found = {source: ranges.tensors[source] for source in placement.observed}
    grids = {
        tensor: activation_grid(found[source].low, found[source].high, recipe.scheme)
        for tensor, source in placement.tensors.items()
    }
    learning = recipe.of_kind(Learning)
    if learning:
        images = list(images)  # kept as uint8, since they are read again
    moments: dict[int, InputMoments] = {}
    if recipe.needs_moments:
        moments = collect_moments(graph, placement, grids, images, on_batch, recipe.needs_covariance)
    layers = {}
    for index in placement.layers:
        layer = layer_weights(graph, index, placement.pixels)
        read = graph.nodes[index].input[0]
        input_scale = float(grids[read].scale) if read in grids else 1.0
        layers[index] = quantize_layer(layer, input_scale, recipe, moments.pop(index, None))
    parameters = Parameters(grids, layers)
    for one in learning:
        parameters = one.improve(graph, placement, parameters, images, on_batch)
    return parameters


def quantize_layer(
    layer: LayerWeights, input_scale: float, recipe: QuantRecipe, moments: InputMoments | None = None
) -> QuantizedLayer:
    """Return a layer's int8 weights and its float32 bias [K].

    `input_scale` is the scale of the layer's input grid. Without `moments` weights are rounded to nearest at
    max / 127; with them, the recipe's corrections of a layer are done.
    """
    if moments is None:
        scales = weight_scales(layer.weight, layer.bias, input_scale)
        return QuantizedLayer(round_weight(layer.weight, scales), layer.bias)
    wanted = None
    for scaling in recipe.of_kind(WeightScaling):
        wanted = scaling.scales(layer, moments)
    scales = weight_scales(layer.weight, layer.bias, input_scale, wanted)
    weight = round_weight(layer.weight, scales)
    for rounding in recipe.of_kind(WeightRounding)[-1:]:
        weight = rounding.round(layer, scales, moments)
    bias = layer.bias
    for correction in recipe.of_kind(BiasCorrection):
        bias = correction.bias(layer, weight, moments)
    return QuantizedLayer(weight, bias)
