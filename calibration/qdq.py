"""Inserting QuantizeLinear and DequantizeLinear into a float ONNX graph."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.errors import LintError, RangesError
from calibration.find_parameters import find_parameters
from calibration.lint import lint_graph
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters
from calibration.placement import Placement, place
from calibration.prepare_float import check_prepared
from calibration.qdq_writer import write_qdq
from calibration.ranges import Ranges, model_digest
from calibration.recipe import QuantRecipe


def quantize(
    model: Path,
    ranges: Ranges,
    recipe: QuantRecipe,
    output: Path,
    images: Iterable[NDArray[np.uint8]] = (),
    on_batch: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the Q/DQ ONNX of the float ONNX `model` to `output`; the same bytes for the same input.

    Placement as `placement` says; int8 weights as initialisers behind a DequantizeLinear on axis 0; biases
    stay float32. A recipe that `needs_images` runs the float model once over `images`, batches of uint8 [n,
    H, W, C], and reports each batch's size to `on_batch`; other recipes do not read them. A recipe that
    `prepares` wants `model` to come from `prepare`.

    Raises RangesError if `ranges` were not collected on this model for this recipe, ModelError for a graph
    that cannot be quantised, ImagesError for images that are missing or do not fit, and LintError if the
    result breaks a rule of `lint`.
    """
    graph = OnnxGraph.load(model)
    check_prepared(graph, recipe)
    placement = place(graph, recipe, wide=ranges.wide)
    _check(ranges, model, recipe, placement)
    parameters = find_parameters(graph, placement, ranges, recipe, images, on_batch)
    save_quantized(graph, placement, parameters, recipe, output)


def save_quantized(
    graph: OnnxGraph, placement: Placement, parameters: Parameters, recipe: QuantRecipe, output: Path
) -> None:
    """Check and write the quantised graph; layers outside `placement` may be float. Raises LintError."""
    result = write_qdq(graph, placement, parameters, recipe)
    findings = lint_graph(OnnxGraph(result), recipe.scheme, placement.float_nodes(graph))
    if findings:
        raise LintError("The quantised graph breaks placement rules:\n" + "\n".join(map(str, findings)))
    onnx.checker.check_model(result, full_check=True)
    output.write_bytes(result.SerializeToString(deterministic=True))


def _check(ranges: Ranges, model: Path, recipe: QuantRecipe, placement: Placement) -> None:
    if ranges.model != model_digest(model):
        raise RangesError(
            f"The ranges were collected on another model than {model}. Calibrate again on this one."
        )
    if ranges.recipe != recipe.name:
        raise RangesError(
            f"The ranges were collected for recipe {ranges.recipe}, not {recipe.name}. Calibrate again with "
            "it."
        )
    missing = [name for name in placement.observed if name not in ranges.tensors]
    if missing:
        raise RangesError(
            f"The ranges lack {len(missing)} of the model's tensors, among them {missing[0]!r}. Calibrate "
            "again."
        )
