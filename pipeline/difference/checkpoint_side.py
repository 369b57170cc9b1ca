"""A checkpoint of torch or Keras as a side: torch computes the logits, its ONNX export has the tensors."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.difference.side import BATCH, Array, Pictures, Side
from pipeline.errors import CheckpointError
from pipeline.extras import require

if TYPE_CHECKING:
    from pipeline.models.zoo import KnownModel

IMAGENET_CLASSES = 1000


def checkpoint_side(path: Path, model: str | None) -> Side:
    """Return a checkpoint as a side. model: its architecture; if None, the one its weights fit.

    Raises CheckpointError for a file that cannot be read, or that fits no known network or several.
    """
    require("torch", "a checkpoint is run by it")
    import onnx
    import torch

    from pipeline.models.checkpoint import fitting_models, load_model
    from pipeline.models.resnet import FromPixels
    from pipeline.stages.export import write_onnx

    known, classes = _chosen(path, model, *fitting_models(path))
    network = load_model(known, path, classes)
    on_pixels = FromPixels(network, known.mean, known.std).eval()
    with tempfile.TemporaryDirectory(prefix="edgec-diff-") as folder:
        exported = Path(folder) / "model.onnx"
        write_onnx(on_pixels, known.input_shape, True, exported)
        graph = onnx.load(exported)

    def logits(pictures: Pictures) -> Array:
        with torch.inference_mode():
            parts = [
                on_pixels(torch.from_numpy(np.ascontiguousarray(pictures[start : start + BATCH]))).numpy()
                for start in range(0, len(pictures), BATCH)
            ]
        return np.concatenate(parts)

    note = f"{path}: {known.name} with {classes} classes in torch; mean {known.mean}, std {known.std}"
    return Side(str(path), logits, graph, known.input_shape, (note,))


def _chosen(
    path: Path, model: str | None, fitting: "list[KnownModel]", classes: int | None
) -> "tuple[KnownModel, int]":
    from pipeline.models.zoo import find_model

    if model is not None:
        known = find_model(model)
        return known, known.classes or classes or IMAGENET_CLASSES
    if not fitting or classes is None:
        raise CheckpointError(
            f"{path} fits no network that edgec knows by its weights alone. Name its architecture with"
            " --model, or export it to ONNX with the program that trained it."
        )
    if len({(known.architecture, known.normalisation) for known in fitting}) > 1:
        names = " or ".join(known.name for known in fitting)
        raise CheckpointError(f"{path} fits {names}. Say which it is: --model {fitting[0].name}")
    return fitting[0], classes
