"""The state of observers after some images, as a file. Parts of a calibration set are merged exactly."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from calibration.image_extremes import ImageExtremes
from calibration.observe import observe
from calibration.observers import Average, FromHistogram, LeastSquares, MinMax, Observer, make_observer
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.prepare_float import check_prepared
from calibration.recipe import QuantRecipe


@dataclass
class ObservedImages:
    """How many images were seen, and the observer of each tensor."""

    images: int
    observers: dict[str, Observer]

    @classmethod
    def of(
        cls,
        model: Path,
        batches: Iterable[NDArray[np.uint8]],
        recipe: QuantRecipe,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> Self:
        """Run the float `model` on uint8 [n, H, W, C]. Errors as `collect`, but none for no image."""
        graph = OnnxGraph.load(model)
        check_prepared(graph, recipe)
        found = cls.nothing(place(graph, recipe).observed, recipe)
        found.images = observe(graph, found.observers, batches, on_batch)
        return found

    @classmethod
    def nothing(cls, tensors: Iterable[str], recipe: QuantRecipe) -> Self:
        """Return new observers of these tensors."""
        return cls(0, {name: make_observer(recipe.observer, recipe.scheme) for name in tensors})

    def merge(self, other: Self) -> None:
        """Take in what was seen of other images, with the same model and recipe."""
        self.images += other.images
        for name, observer in self.observers.items():
            observer.merge(other.observers[name])

    def save(self, path: Path) -> None:
        """Write them as JSON, which gives every float and fraction back exactly."""
        tensors = {name: _written(observer) for name, observer in self.observers.items()}
        path.write_text(json.dumps({"images": self.images, "tensors": tensors}))

    @classmethod
    def load(cls, path: Path, recipe: QuantRecipe) -> Self:
        """Read what `save` wrote for the same recipe."""
        held = json.loads(path.read_text())
        found = cls.nothing(held["tensors"], recipe)
        found.images = held["images"]
        for name, observer in found.observers.items():
            _fill(observer, held["tensors"][name])
        return found


def _written(observer: Observer) -> dict[str, Any]:
    match observer:
        case MinMax():
            return {"low": observer.low, "high": observer.high}
        case Average():
            return observer.extremes.written()
        case FromHistogram():
            held = observer.histogram
            filled = np.flatnonzero(held.counts)
            written = {
                **{name: getattr(held, name) for name in ("low", "high", "zeros", "width")},
                "bins": filled.tolist(),
                "counts": held.counts[filled].tolist(),
            }
            if isinstance(observer, LeastSquares):
                written["extremes"] = observer.extremes.written()
            return written
    raise TypeError(type(observer))


def _fill(observer: Observer, held: dict[str, Any]) -> None:
    match observer:
        case MinMax():
            observer.low, observer.high = held["low"], held["high"]
        case Average():
            observer.extremes = ImageExtremes.read(held)
        case FromHistogram():
            for name in ("low", "high", "zeros", "width"):
                setattr(observer.histogram, name, held[name])
            observer.histogram.counts[held["bins"]] = held["counts"]
            if isinstance(observer, LeastSquares):
                observer.extremes = ImageExtremes.read(held["extremes"])
        case _:
            raise TypeError(type(observer))
