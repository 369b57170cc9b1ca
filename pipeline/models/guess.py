"""What the description of an ONNX file most likely is: read off the graph, and tried on a picture."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.models.foreign import CHANNELS, Description, ForeignModel, described
from pipeline.models.onnx_file import Input, normalises_itself, read_input, read_output
from pipeline.models.original import Original
from pipeline.models.zoo import IMAGENET_MEAN, IMAGENET_STD
from pipeline.task import Task

USUAL_SIDE = 224

Numbers = tuple[float, ...]

NORMALISATIONS: dict[str, tuple[Numbers, Numbers]] = {
    "ImageNet's mean and std (torchvision, timm)": (IMAGENET_MEAN, IMAGENET_STD),
    "0 to 1": ((0.0,), (1.0,)),
    "-1 to 1 (TensorFlow, MobileNet)": ((0.5,), (0.5,)),
    "0 to 255": ((0.0,), (1 / 255,)),
}
"""What networks are trained with, as mean and std of pixels divided by 255."""


@dataclass(frozen=True)
class Tried:
    """One normalisation on one picture: the largest probability, and the classes in order."""

    name: str
    probabilities: NDArray[np.float64]

    @property
    def best(self) -> list[int]:
        """Return up to five classes, the most probable first."""
        return [int(i) for i in np.argsort(-self.probabilities)[:5]]


@dataclass(frozen=True)
class Guess:
    """A description, why it is so, and how other normalisations did."""

    description: Description
    reasons: tuple[str, ...]
    tried: tuple[Tried, ...] = ()

    def toml(self) -> str:
        """Return the text of the file to put beside the model."""
        d = self.description
        assert d.size is not None  # noqa: S101 - guess fills it
        lines = [f"size = [{d.size[0]}, {d.size[1]}]", f"channels = {d.channels}", f'layout = "{d.layout}"']
        lines += [f"mean = {[round(v, 6) for v in d.mean]}", f"std = {[round(v, 6) for v in d.std]}"]
        lines.append(f'fit = "{d.fit}"')
        if d.task is Task.SEGMENT:
            lines.append(f'task = "{d.task}"')
        if isinstance(d.labels, tuple):
            lines.append(f"labels = {json.dumps(d.labels)}   # put their names here")
        else:
            lines.append('# labels = "labels.txt"   # class names, one a line, as the outputs are')
        return "\n".join(lines) + "\n"


def guess(path: Path, picture: NDArray[np.uint8] | None) -> Guess:
    """Guess how the model at `path` wants its input; `picture` is uint8 [H, W, C] of any size.

    Layout and size are what the shape allows. A normalisation that is not in the graph cannot be seen: the
    one is taken with which the network is surest of the picture. Raises CheckpointError for a file that
    cannot be read.
    """
    found = read_input(path)
    layout, reason = _layout(found)
    reasons = [reason]
    height, width, channels = (found.shape[i] for i in ((2, 3, 1) if layout == "NCHW" else (1, 2, 3)))
    if height is None or width is None:
        reasons.append(f"size: the graph takes any; {USUAL_SIDE} is usual")
    known: Literal[1, 3] = 1 if channels == 1 else 3
    output = read_output(path)
    of_pixels = len(output) == 4
    if of_pixels:
        reasons.append(f"task: the output has {len(output)} dimensions, so it classifies pixels")
    base = Description(
        size=(height or USUAL_SIDE, width or USUAL_SIDE),
        channels=known,
        layout="NCHW" if layout == "NCHW" else "NHWC",
        fit="stretch" if of_pixels else "crop",  # whole pictures, as masks are
        task=Task.SEGMENT if of_pixels else Task.CLASSIFY,
        labels=tuple(f"class {k}" for k in range(output[1] or 0)) if of_pixels else None,
    )
    if "float" not in str(found):
        return Guess(
            base, (*reasons, "normalisation: none needed, the input is pixels"), _try(path, base, {}, picture)
        )
    if normalises_itself(path, layout, known):
        base = base.model_copy(update={"std": (1 / 255,)})
        why = "normalisation: the graph begins with one, so its input is pixels from 0 to 255"
        return Guess(base, (*reasons, why), _try(path, base, {}, picture))
    options = {name: v for name, v in NORMALISATIONS.items() if known == 3 or len(v[0]) == 1}
    tried = _try(path, base, options, picture)
    if tried:
        chosen = max(tried, key=lambda one: one.probabilities.max()).name
        reasons.append(f"normalisation: with {chosen} the network is surest of this picture; a guess")
    else:
        chosen = next(iter(options))
        reasons.append(f"normalisation: {chosen} is the most usual; give --image to try others")
    mean, std = options[chosen]
    return Guess(base.model_copy(update={"mean": mean, "std": std}), tuple(reasons), tried)


def _layout(found: Input) -> tuple[str, str]:
    if found.shape[1] in CHANNELS:
        return "NCHW", f"layout: {found} has the channels second"
    if found.shape[3] in CHANNELS:
        return "NHWC", f"layout: {found} has the channels last"
    return "NCHW", f"layout: {found} does not say; NCHW is usual"


def _try(
    path: Path,
    base: Description,
    options: dict[str, tuple[Numbers, Numbers]],
    picture: NDArray[np.uint8] | None,
) -> tuple[Tried, ...]:
    if picture is None:
        return ()
    model = described(path, base)
    pixels = model.preprocessing(picture)
    tried = []
    for name, (mean, std) in (options or {"as the graph has it": (model.mean, model.std)}).items():
        fed = replace(model, mean=_all(mean, model), std=_all(std, model))
        tried.append(Tried(name, Original(fed).probabilities(pixels)))
    return tuple(tried)


def _all(values: Numbers, model: ForeignModel) -> Numbers:
    return values * model.channels if len(values) == 1 else values
