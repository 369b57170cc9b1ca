"""Rewriting the float model before it is quantised, so that it computes the same and rounds better."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from calibration.correction import Preparation
from calibration.errors import ModelError
from calibration.left_out import left_out, with_left_out
from calibration.onnx_graph import OnnxGraph
from calibration.recipe import QuantRecipe

Images = Callable[[], Iterable[NDArray[np.uint8]]]
"""Returns an iterator over the calibration images at each call: batches of uint8 [n, H, W, C]."""

MARK = "edgec.prepared"
"""The metadata key of the scheme and corrections for which a float model was rewritten."""


def prepare(
    model: Path,
    images: Images,
    recipe: QuantRecipe,
    output: Path,
    on_batch: Callable[[int], None] = lambda _: None,
) -> None:
    """Write the float ONNX `model`, rewritten as `recipe` says, to `output`; it computes the same logits.

    Reads `images` once for each Preparation of the recipe, and reports each batch's size to `on_batch`. A
    Preparation that does not fit the graph is left out, and the model says so (`left_out`). Raises
    ModelError for a file that is not a model, and ImagesError for images that cannot be used.
    """
    result, notes = OnnxGraph.load(model).model, list[str]()
    for preparation in recipe.of_kind(Preparation):
        try:
            result = preparation.rewrite(OnnxGraph(result), images(), recipe, on_batch)
        except ModelError as error:
            notes.append(f"{preparation.word}: {error}")
    kept = {p.key: p.value for p in result.metadata_props}
    helper.set_model_props(result, with_left_out(kept | {MARK: _mark(recipe)}, [*left_out(result), *notes]))
    output.write_bytes(result.SerializeToString(deterministic=True))


def check_prepared(graph: OnnxGraph, recipe: QuantRecipe) -> None:
    """Raise ModelError if the model lacks a rewriting that `recipe` needs."""
    wanted = _mark(recipe)
    marked = {p.key: p.value for p in graph.model.metadata_props}.get(MARK)
    if recipe.prepares and marked != wanted:
        state = f"was prepared for {marked}" if marked else "has not been prepared"
        raise ModelError(
            f"Recipe {recipe.name} wants a model prepared for {wanted}, and this one {state}. "
            "Prepare it first."
        )


def _mark(recipe: QuantRecipe) -> str:
    return "_".join([recipe.scheme.value, *(one.word for one in recipe.of_kind(Preparation))])
