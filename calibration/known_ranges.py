"""Ranges that follow from the model and not from calibration images."""

from calibration.correction import Preparation
from calibration.errors import ModelError
from calibration.fold_pixels import find_pixel_input
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph
from calibration.recipe import QuantRecipe, Scheme


def known_ranges(graph: OnnxGraph, recipe: QuantRecipe) -> dict[str, Range]:
    """Return the ranges of the normalised image and of tensors that the recipe's preparations know.

    Half of all pixels may have the background's value. An observer that looks for a threshold, as entropy
    calibration does, then clips the rest of the image.
    """
    found = _normalized_image(graph)
    for preparation in recipe.of_kind(Preparation):
        found |= preparation.known_ranges(graph)
    return found


def _normalized_image(graph: OnnxGraph) -> dict[str, Range]:
    """The normalised values of the grey levels 0 and 255, over all channels."""
    try:
        pixels = find_pixel_input(graph, Scheme.SYM)
    except ModelError:  # no normalisation: the input is observed like other tensors
        return {}
    ends = [(level - pixels.mean) * pixels.scale for level in (0.0, 255.0)]
    low, high = float(min(end.min() for end in ends)), float(max(end.max() for end in ends))
    return {pixels.normalized: Range(min(low, 0.0), max(high, 0.0))}
