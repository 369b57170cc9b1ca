"""The models edgec knows by name, one row each. Nothing here imports torch.

A new model of a known family is one more row; a new family is one more file beside `resnet.py`.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.errors import did_you_mean
from pipeline.data.embedded import EMBEDDED
from pipeline.digest import value_digest
from pipeline.errors import CheckpointError, DataError, UsageError
from targets.runtime.preprocess import Preprocessing


@dataclass(frozen=True)
class Architecture:
    """Which network to build, apart from its first and last layer."""

    family: Literal["cifar", "imagenet"]
    depth: int

    def __str__(self) -> str:
        return f"ResNet-{self.depth} ({'CIFAR' if self.family == 'cifar' else 'ImageNet'} style)"


@dataclass(frozen=True)
class KnownModel:
    """A network together with the images it was made for.

    classes is None where the data set decides. mean and std normalise pixels divided by 255. weights is the
    name of the file that `find_weights` looks for; data is where the images are if the user names none.
    """

    name: str
    summary: str
    architecture: Architecture
    preprocessing: Preprocessing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int | None = None
    data: Path | None = None
    weights: str | None = None

    @property
    def channels(self) -> int:
        """Return the planes of an input image: 1 (gray) or 3 (RGB)."""
        return self.preprocessing.channels

    @property
    def digest(self) -> str:
        """Return the SHA-256 over what decides the arithmetic; names and places do not count."""
        return value_digest([self.architecture, self.preprocessing, self.mean, self.std])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return the shape of one input image, height x width x channels."""
        return self.preprocessing.height, self.preprocessing.width, self.channels

    def classes_for(self, found: int) -> int:
        """Return the classes to build for a data set of `found`. Raises DataError if they disagree."""
        if self.classes not in (None, found):
            raise DataError(
                f"{self.name} tells {self.classes} classes apart, the data set has {found}. Use the data"
                " set the model was made for, or a model whose classes follow the data set, such as resnet18."
            )
        return found


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _imagenet(depth: int) -> KnownModel:
    return KnownModel(
        name=f"resnet{depth}",
        summary=f"ResNet-{depth} with torchvision's keys, 224 x 224; needs CHECKPOINT and DATA",
        architecture=Architecture("imagenet", depth),
        preprocessing=Preprocessing(224, 224, 3, fit="crop", resize=256),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        name="resnet20-fashion",
        summary="ResNet-20 for Fashion-MNIST, 32 x 32 gray; weights and images come with edgec",
        architecture=Architecture("cifar", 20),
        preprocessing=Preprocessing(32, 32, 1, fit="pad"),
        mean=(0.2860,),
        std=(0.3530,),
        classes=10,
        data=EMBEDDED,
        weights="resnet20_fashion.safetensors",
    ),
    KnownModel(
        name="resnet20-cifar10",
        summary="ResNet-20 for CIFAR-10, 32 x 32 RGB; needs DATA, finds weights beside it",
        architecture=Architecture("cifar", 20),
        preprocessing=Preprocessing(32, 32, 3, fit="stretch"),
        mean=IMAGENET_MEAN,  # what the published weights were trained with
        std=IMAGENET_STD,
        classes=10,
        weights="resnet20_cifar10jpeg_ft.safetensors",
    ),
    *(_imagenet(depth) for depth in (18, 34, 50, 101, 152)),
)


def find_model(name: str) -> KnownModel:
    """Return the row called `name`. Raises UsageError with the closest name."""
    rows = {model.name: model for model in KNOWN_MODELS}
    if name not in rows:
        raise UsageError(
            f"Unknown model {name!r}.{did_you_mean(name, list(rows))} Known models: {', '.join(rows)}."
        )
    return rows[name]


def find_weights(model: KnownModel, checkpoint: Path | None = None, data: Path | None = None) -> Path:
    """Return the file of weights to load: `checkpoint`, or else the model's own file.

    The model's own is looked for in the embedded data/, in `data`, and in the folder `weights` beside `data`.
    Raises CheckpointError naming every place looked at.
    """
    if checkpoint is not None:
        if not (checkpoint.is_file() and os.access(checkpoint, os.R_OK)):
            kind = "cannot be read" if checkpoint.is_file() else "is not a file"
            what = kind if checkpoint.exists() else "does not exist"
            raise CheckpointError(
                f"The checkpoint {checkpoint} {what}. Give a .safetensors, .pt or .pth file."
            )
        return checkpoint
    if model.weights is None:
        raise CheckpointError(
            f"{model.name} has no weights of its own. Name a .safetensors, .pt or .pth file with --checkpoint"
            " (CHECKPOINT= in make), or train some with `edgec train`."
        )
    folders = [EMBEDDED] if data is None else [EMBEDDED, data, data.absolute().parent / "weights"]
    for folder in folders:
        if (folder / model.weights).is_file():
            return folder / model.weights
    raise CheckpointError(
        f"The weights of {model.name}, {model.weights}, are in none of {', '.join(map(str, folders))}."
        " Name a file with --checkpoint (CHECKPOINT= in make)."
    )
