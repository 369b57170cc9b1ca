"""Running the float model over calibration images and collecting the ranges of the tensors to quantise."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import ImagesError
from calibration.known_ranges import known_ranges
from calibration.observe import observe
from calibration.observers import make_observer
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.prepare_float import check_prepared
from calibration.ranges import Ranges, model_digest
from calibration.recipe import QuantRecipe


def collect(
    model: Path,
    batches: Iterable[NDArray[np.uint8]],
    recipe: QuantRecipe,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Ranges:
    """Observe the float ONNX `model` on `batches`, each uint8 [n, H, W, C]; return the ranges `recipe` needs.

    Streamed: each image is run once and forgotten. `on_batch` is called after each batch with its number of
    images. Raises ModelError for a graph that cannot be quantised and ImagesError for no images, images that
    do not fit the model's input, or values that are not finite.
    """
    graph = OnnxGraph.load(model)
    check_prepared(graph, recipe)
    observers = {
        name: make_observer(recipe.observer, recipe.scheme) for name in place(graph, recipe).observed
    }
    images = observe(graph, observers, batches, on_batch)
    if images == 0:
        raise ImagesError("The calibration set is empty. Give at least one image; 512 are a good number.")
    known = known_ranges(graph, recipe)
    found = {name: known.get(name) or observer.range() for name, observer in observers.items()}
    return Ranges(model_digest(model), recipe.name, images, found)
