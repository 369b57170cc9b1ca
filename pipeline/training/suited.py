"""Settings that suit the number of images, where none are given, and the weights to start from.

Few images need small batches, so that there are enough steps, and a low rate. Photos can start from edgec's
own weights. Settings that are given are never changed.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import CheckpointError
from pipeline.models.zoo import KnownModel, find_model, find_weights
from pipeline.training.settings import TrainConfig

MANY = 20_000
"""From here on the defaults of TrainConfig hold, as they do for Fashion-MNIST and CIFAR-10."""
SHIPPED = "resnet18-narrow2-grocery"
"""The model whose weights come with edgec and were trained on photos."""


@dataclass(frozen=True)
class Suited:
    """Settings for a data set, and a sentence about the choice."""

    config: TrainConfig
    said: str
    """The sentence; empty where everything is as given, or TrainConfig's default."""


def suited(config: TrainConfig, model: KnownModel, images: int, classes: int) -> Suited:
    """Return `config` with the missing settings chosen for this number of training images."""
    if images >= MANY:
        return Suited(config, "")
    start = None if config.initial is not None or config.start == "random" else _shipped_weights(model)
    chosen: dict[str, object] = {} if start is None else {"initial": start, "new_head": True}
    tuned = config.initial is not None or start is not None
    batch = config.batch_size if "batch_size" in config.model_fields_set else _batch(images)
    steps = 600 if tuned else 3000
    chosen["batch_size"] = batch
    chosen["epochs"] = min(max(math.ceil(steps * batch / images), 10), 60 if tuned else 100)
    chosen["peak_learning_rate"] = usual_rate(batch, tuned=tuned)
    if model.architecture.family == "imagenet":  # photos, which show things at any size and in any light
        chosen |= {"zoom": 0.5, "colour": 0.2}
    chosen = {name: value for name, value in chosen.items() if name not in config.model_fields_set}
    made = config.model_copy(update=chosen)
    return Suited(made, _said(made, start, images, classes))


def usual_rate(batch: int, *, tuned: bool) -> float:
    """Return the peak rate for batches of this size. tuned: the network starts from weights."""
    return round(0.05 * batch / 64 if tuned else 0.25 * batch / 128, 4)


def _batch(images: int) -> int:
    """A power of two from 16 to 128 that leaves a dozen steps in an epoch."""
    return min(128, max(16, 1 << math.floor(math.log2(max(images, 12) / 12))))


def _shipped_weights(model: KnownModel) -> Path | None:
    """Return weights that come with edgec for a network that is built like `model`."""
    shipped = find_model(SHIPPED)
    same = (shipped.architecture, shipped.channels) == (model.architecture, model.channels)
    if not same or model.weights is not None or (model.mean, model.std) != (shipped.mean, shipped.std):
        return None
    try:
        return find_weights(shipped)
    except CheckpointError:
        return None


def _said(config: TrainConfig, start: Path | None, images: int, classes: int) -> str:
    begins = "" if start is None else f" Starts from edgec's weights for {SHIPPED} with a new head."
    return (
        f"{images} images of {classes} classes: batches of {config.batch_size}, {config.epochs} epochs,"
        f" learning rate up to {config.peak_learning_rate:g} (--batch, --epochs, --lr).{begins}"
    )
