"""Runs a float model on images and passes its tensors to observers."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from calibration.activations import InstrumentedModel
from calibration.errors import ImagesError
from calibration.observers import Observer
from calibration.onnx_graph import OnnxGraph


def observe(
    graph: OnnxGraph,
    observers: Mapping[str, Observer],
    batches: Iterable[NDArray[np.uint8]],
    on_batch: Callable[[int], None],
) -> int:
    """Update each tensor's observer on `batches`, uint8 [n, H, W, C]; return the number of images.

    Each image is run once and forgotten; `on_batch` is called after each batch with its number of images.
    Raises ImagesError for images that do not fit the model's input and values that are not finite.
    """
    activations = InstrumentedModel(graph, tuple(observers))
    images = 0
    for batch in batches:
        for values in activations.run(batch):
            for name, observer in observers.items():
                if not np.isfinite(values[name]).all():
                    raise ImagesError(
                        f"The model computes values that are not finite in {name!r}, in the {len(batch)} "
                        "images after the "
                        f"first {images}. Check the checkpoint: an infinite or missing weight gives this on "
                        "any image."
                    )
                observer.update(values[name])
        images += len(batch)
        on_batch(len(batch))
    return images
