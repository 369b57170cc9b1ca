"""Running the float model over calibration images and collecting the ranges of the tensors to quantise."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.correction import RangeChoice, WidthChoice
from calibration.errors import ImagesError, ModelError
from calibration.known_ranges import known_ranges
from calibration.observed_images import ObservedImages
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.ranges import Ranges, model_digest
from calibration.recipe import QuantRecipe

MANY = 1 << 31


def collect(
    model: Path,
    batches: Iterable[NDArray[np.uint8]],
    recipe: QuantRecipe,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Ranges:
    """Observe the float ONNX `model` on `batches`, each uint8 [n, H, W, C]; return the ranges `recipe` needs.

    Streamed: each image is run once and not kept, except for the few that a RangeChoice holds. `on_batch` is
    called after each batch with its number of images. Raises ModelError for a graph that cannot be quantised
    and ImagesError for no images, images that do not fit the model's input, or values that are not finite.
    """
    held = _Held(images_held(recipe))
    seen = ObservedImages.of(model, held.passing(batches), recipe, on_batch)
    return ranges_from(model, seen, recipe, held.batches, on_batch)


def ranges_from(
    model: Path,
    seen: ObservedImages,
    recipe: QuantRecipe,
    held: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None] = lambda _: None,
) -> Ranges:
    """Return the ranges that follow from what observers have seen; errors as `collect`.

    held: the first `images_held` of the images.
    """
    if seen.images == 0:
        raise ImagesError("The calibration set is empty. Give at least one image; 512 are a good number.")
    graph = OnnxGraph.load(model)
    placement = place(graph, recipe)
    observers, held = seen.observers, list(held)
    found, notes = {name: observer.range() for name, observer in observers.items()}, list[str]()
    for one in recipe.of_kind(RangeChoice):
        try:
            found |= one.choose(graph, tuple(observers), recipe, held, on_batch)
        except ModelError as error:
            notes.append(f"{one.word}: {error}")
    known = known_ranges(graph, recipe)
    found |= {name: known[name] for name in known.keys() & found.keys()}
    wide: tuple[str, ...] = ()
    for width in recipe.of_kind(WidthChoice):
        try:
            wide = width.choose(graph, placement, recipe, found, held, on_batch)
        except ModelError as error:
            notes.append(f"{width.word}: {error}")
    return Ranges(model_digest(model), recipe.name, seen.images, found, tuple(notes), wide)


def images_held(recipe: QuantRecipe) -> int:
    """How many images, the first ones, are read again once observers have seen all."""
    return max((one.images_read(MANY) for one in _choices(recipe)), default=0)


def first_images(batches: Iterable[NDArray[np.uint8]], recipe: QuantRecipe) -> list[NDArray[np.uint8]]:
    """Return the first `images_held` of the images, and read no more of them."""
    held = _Held(images_held(recipe))
    passing = held.passing(batches)
    while held.left > 0 and next(passing, None) is not None:
        pass
    return held.batches


def images_observed(recipe: QuantRecipe, images: int) -> int:
    """How many images `collect` reports to `on_batch`, if `images` are given."""
    return images + sum(one.images_read(images) for one in _choices(recipe))


def _choices(recipe: QuantRecipe) -> tuple[RangeChoice | WidthChoice, ...]:
    return (*recipe.of_kind(RangeChoice), *recipe.of_kind(WidthChoice))


class _Held:
    """The first images that pass, as uint8."""

    def __init__(self, count: int) -> None:
        self.batches: list[NDArray[np.uint8]] = []
        self.left = count

    def passing(self, batches: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Yield all batches and keep the first images."""
        for batch in batches:
            if self.left > 0:
                self.batches.append(batch[: self.left].copy())
                self.left -= len(self.batches[-1])
            yield batch
