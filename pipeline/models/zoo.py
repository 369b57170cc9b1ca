"""The models that edgec knows by name. Imports no torch.

A name of the residual family is parsed by `names`; `KNOWN_MODELS` lists the published members. A new
family is one more file beside `resnet.py`.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.errors import did_you_mean
from pipeline.cache.digest import InputFile, value_digest
from pipeline.data.embedded import EMBEDDED
from pipeline.errors import CheckpointError, DataError, NoSuchModelError, UsageError
from pipeline.models.architecture import Architecture
from pipeline.models.model import Model
from pipeline.models.names import parse
from targets.runtime.preprocess import Preprocessing


@dataclass(frozen=True, kw_only=True)
class KnownModel(Model):
    """A network that edgec can build, and the images that it was made for.

    classes is None where the data set decides. weights is the name of the file that `find_weights` looks for.
    """

    summary: str
    architecture: Architecture
    classes: int | None = None
    weights: str | None = None

    @property
    def if_quantised(self) -> None:
        """Return None: checkpoints are in float."""
        return

    @property
    def digest(self) -> str:
        """Return the SHA-256 over what decides the arithmetic; names and places do not count."""
        return value_digest([self.architecture, self.preprocessing, *self.normalisation])

    def classes_for(self, found: int) -> int:
        """Return `found`. Raises DataError if the model was made for another number of classes."""
        if self.classes not in (None, found):
            raise DataError(
                f"{self.name} has {self.classes} classes; the data set has {found}. Use the data"
                " set the model was made for, or a model whose classes follow the data set, such as resnet18."
            )
        return found

    def weights_file(self, checkpoint: Path | None, data: Path | None) -> InputFile:
        """Return `checkpoint`, or else the model's own file. Raises as `find_weights` does."""
        return InputFile.at(find_weights(self, checkpoint, data))

    def network_as_given(self, weights: Path) -> None:  # noqa: ARG002
        """Return None: a checkpoint is not an ONNX file."""
        return


IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LISTED = (
    "resnet20-fashion",
    "resnet18-narrow2-grocery",
    *(f"resnet{depth}-cifar10" for depth in (20, 32, 44, 56, 110, 1202)),
    *(f"resnet20-option{option}-cifar10" for option in "bc"),
    *(f"plain{depth}-cifar10" for depth in (20, 32, 44, 56, 110)),
    *(f"preresnet{depth}-cifar10" for depth in (20, 56, 110)),
    *(f"wrn{layers}-cifar10" for layers in ("16-4", "28-10")),
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    *(f"resnet{depth}-v1" for depth in (50, 101, 152)),
    *(f"resnet34-option{option}" for option in "ac"),
    *(f"plain{depth}" for depth in (18, 34)),
    *(f"preresnet{depth}" for depth in (18, 50)),
    *(f"preresnet{depth}-keras" for depth in (50, 101, 152)),
    *(f"resnet{depth}-wide2" for depth in (50, 101)),
)
"""The published members of the family, which `edgec models` shows."""

WEIGHTS = {
    "resnet20-fashion": "resnet20_fashion.safetensors",
    "resnet20-cifar10": "resnet20_cifar10jpeg_ft.safetensors",
    "resnet18-narrow2-grocery": "resnet18_grocery.safetensors",
}

IMAGES = {
    "cifar10": (" for CIFAR-10", 10),
    "fashion": (" for Fashion-MNIST", 10),
    "grocery": (" for groceries", 43),
}
"""Images that a name can refer to: a description, and their number of classes."""


def _known(name: str) -> KnownModel | None:
    """Return the model that a name describes. Raises UsageError for a network that cannot exist."""
    try:
        parsed = parse(name)
    except ValueError as error:
        raise UsageError(f"There is no model {name!r}: {error}.") from error
    if parsed is None:
        return None
    large = parsed.architecture.family == "imagenet"
    if parsed.images == "fashion":
        preprocessing = Preprocessing(32, 32, 1, fit="pad")
    elif large:
        preprocessing = Preprocessing(224, 224, 3, fit="crop", resize=256)
    else:
        preprocessing = Preprocessing(32, 32, 3, fit="stretch")
    side = parsed.side or (128 if parsed.images == "grocery" else None)
    if side is not None:
        resize = round(side * 256 / 224) if large else 0
        preprocessing = replace(preprocessing, height=side, width=side, resize=resize)
    images, classes = IMAGES.get(parsed.images or "", ("", None))
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mean, std = IMAGENET_MEAN, IMAGENET_STD  # CIFAR's published weights were trained with these too
    if parsed.images == "fashion":
        mean, std = (0.2860,), (0.3530,)
    elif parsed.architecture.keras:
        mean = std = (0.5,) * 3
    return KnownModel(
        name=name,
        summary=f"{parsed.architecture}{images}",
        architecture=parsed.architecture,
        preprocessing=preprocessing,
        mean=mean,
        std=std,
        classes=classes,
        data=EMBEDDED if parsed.images == "fashion" else None,
        weights=WEIGHTS.get(name),
    )


def find_model(name: str) -> KnownModel:
    """Return the model called `name`. Raises UsageError with the closest name, or why there is none."""
    found = _known(name)
    if found is None:
        raise UsageError(
            f"Unknown model {name!r}.{did_you_mean(name, LISTED)} `edgec models` lists the known models."
        )
    return found


KNOWN_MODELS: tuple[KnownModel, ...] = tuple(find_model(name) for name in LISTED)


def find_weights(model: KnownModel, checkpoint: Path | None = None, data: Path | None = None) -> Path:
    """Return the file of weights to load: `checkpoint`, or else the model's own file.

    The model's own file is searched in the embedded data/, in `data`, and in the folder `weights` beside
    `data`. Raises CheckpointError naming all these folders.
    """
    if checkpoint is not None:
        if not (checkpoint.is_file() and os.access(checkpoint, os.R_OK)):
            kind = "cannot be read" if checkpoint.is_file() else "is not a file"
            what = kind if checkpoint.exists() else "does not exist"
            raise NoSuchModelError(
                f"The checkpoint {checkpoint} {what}. Give a .safetensors, .pt, .pth, .h5 or .keras file."
            )
        return checkpoint
    if model.weights is None:
        raise CheckpointError(
            f"{model.name} has no weights of its own. Give a .safetensors, .pt or .pth file with --checkpoint"
            " (CHECKPOINT= in make), or train some with `edgec train`."
        )
    places = places_of_weights(model, data)
    for place in places:
        if place.is_file():
            return place
    folders = ", ".join(str(place.parent) for place in places)
    raise CheckpointError(
        f"The weights of {model.name}, {model.weights}, are in none of {folders}."
        " Give a file with --checkpoint (CHECKPOINT= in make)."
    )


def places_of_weights(model: KnownModel, data: Path | None) -> list[Path]:
    """Return where the model's own weights may be, in this order; nowhere if it has none."""
    folders = [EMBEDDED] if data is None else [EMBEDDED, data, data.absolute().parent / "weights"]
    return [folder / model.weights for folder in folders] if model.weights is not None else []
