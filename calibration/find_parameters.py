"""Finds the parameters of a quantised model layer by layer, and then all together if the recipe says so."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from calibration.correction import (
    BiasCorrection,
    Correction,
    Learning,
    Need,
    PixelReading,
    WeightRounding,
    WeightScaling,
)
from calibration.errors import ModelError
from calibration.grid import activation_grid, round_weight, weight_scales, wide_grid
from calibration.moments import IMAGES, InputMoments, moments_by_layer
from calibration.onnx_graph import OnnxGraph, node_label
from calibration.parameters import Parameters, QuantizedLayer
from calibration.placement import Placement
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe
from calibration.residual_reads import unread_residuals
from calibration.weight_layers import LayerWeights, layer_weights

TOO_WIDE = "reads so many values that their covariance would not fit into memory"


def images_read(recipe: QuantRecipe, images: int) -> int:
    """How many images `find_parameters` reports to `on_batch`, if `images` are given."""
    learned = [one.images_read(images) for one in recipe.of_kind(Learning)]
    return sum(learned) + (min(images, IMAGES) if recipe.needs_moments else 0)


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
    wide = placement.only_wide(graph).union(ranges.wide)
    grids = {
        tensor: wide_grid(found[source].low, found[source].high)
        if source in wide
        else activation_grid(found[source].low, found[source].high, recipe.scheme)
        for tensor, source in placement.tensors.items()
    }
    learning = recipe.of_kind(Learning)
    if learning:
        images = list(images)  # kept as uint8, since they are read again
    moments: Iterable[tuple[int, InputMoments | None]] = ((index, None) for index in placement.layers)
    if recipe.needs_moments:
        moments = moments_by_layer(graph, placement, grids, images, on_batch, recipe.needs_covariance)
    layers = {}
    notes = [
        *ranges.left_out,
        *_unread_pixels(recipe, placement),
        *([] if placement.residual else unread_residuals(graph, recipe)),
    ]
    for index, seen in moments:
        layer = layer_weights(graph, index, placement.pixels)
        read = graph.nodes[index].input[0]
        input_scale = float(grids[read].scale) if read in grids else 1.0
        layers[index] = quantize_layer(layer, input_scale, recipe, seen)
        notes += [
            f"{one.word}: {node_label(graph.nodes[index])} {TOO_WIDE}" for one in _unusable(recipe, seen)
        ]
    parameters = Parameters(grids, layers, tuple(notes), ranges.outlook)
    for one in learning:
        try:
            parameters = one.improve(graph, placement, parameters, images, on_batch)
        except ModelError as error:
            parameters = replace(parameters, left_out=(*parameters.left_out, f"{one.word}: {error}"))
    return parameters


def quantize_layer(
    layer: LayerWeights, input_scale: float, recipe: QuantRecipe, moments: InputMoments | None = None
) -> QuantizedLayer:
    """Return a layer's int8 weights and its float32 bias [K].

    `input_scale` is the scale of the layer's input grid. Without `moments` weights are rounded to nearest at
    max / 127; with them, the recipe's corrections of a layer are done, except for those that need a
    covariance that was too large to hold.
    """
    if moments is None:
        scales = weight_scales(layer.weight, layer.bias, input_scale)
        return QuantizedLayer(round_weight(layer.weight, scales), layer.bias)
    unusable = _unusable(recipe, moments)
    wanted = None
    for scaling in recipe.of_kind(WeightScaling):
        wanted = wanted if scaling in unusable else scaling.scales(layer, moments)
    scales = weight_scales(layer.weight, layer.bias, input_scale, wanted)
    weight = round_weight(layer.weight, scales)
    for rounding in recipe.of_kind(WeightRounding)[-1:]:
        weight = weight if rounding in unusable else rounding.round(layer, scales, moments)
    bias = layer.bias
    for correction in recipe.of_kind(BiasCorrection):
        bias = correction.bias(layer, weight, moments)
    return QuantizedLayer(weight, bias)


def _unusable(recipe: QuantRecipe, moments: InputMoments | None) -> list[Correction]:
    """The corrections that need a covariance which a layer's moments lack."""
    if moments is None or moments.covariance is not None:
        return []
    of_a_layer: list[Correction] = [*recipe.of_kind(WeightScaling), *recipe.of_kind(WeightRounding)]
    return [one for one in of_a_layer if Need.COVARIANCES in one.needs]


def _unread_pixels(recipe: QuantRecipe, placement: Placement) -> list[str]:
    if placement.pixels or not recipe.of_kind(PixelReading):
        return []
    return ["pix: no ordinary convolution reads the normalised image"]
