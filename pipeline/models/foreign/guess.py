"""What the description of an ONNX file most likely is: read off the graph, and tried on a picture."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.models.foreign.description import CHANNELS, Description, described
from pipeline.models.foreign.normalisation import normalises_itself
from pipeline.models.foreign.onnx_file import Input, read_input, read_output
from pipeline.models.foreign.original import Original
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
        if d.fit == "crop":
            lines.append('resize = "auto"   # or the shorter side before the centre is cut out, such as 256')
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
    base, reasons = _by_the_shapes(path, found)
    if not found.takes_floats:
        why = "normalisation: none needed, the input is pixels"
        return Guess(base, (*reasons, why), _try(path, base, {}, picture))
    if normalises_itself(path, base.layout, base.channels or 3):
        base = base.model_copy(update={"std": (1 / 255,)})
        why = "normalisation: the graph begins with one, so its input is pixels from 0 to 255"
        return Guess(base, (*reasons, why), _try(path, base, {}, picture))
    options = {name: v for name, v in NORMALISATIONS.items() if base.channels == 3 or len(v[0]) == 1}
    tried = _try(path, base, options, picture)
    if tried:
        chosen = max(tried, key=lambda one: one.probabilities.max()).name
        why = f"normalisation: with {chosen} the network is surest of this picture; a guess"
    else:
        chosen = next(iter(options))
        why = f"normalisation: {chosen} is the most usual; give --image to try others"
    mean, std = options[chosen]
    return Guess(base.model_copy(update={"mean": mean, "std": std}), (*reasons, why), tried)


def _by_the_shapes(path: Path, found: Input) -> tuple[Description, list[str]]:
    """Return what the shapes of input and output say, and why: all but mean and std."""
    layout, reason = _layout(found)
    reasons = [reason]
    height, width, channels = found.sides(layout)
    if height is None or width is None:
        reasons.append(f"size: the graph takes any; {USUAL_SIDE} is usual")
    output = read_output(path)
    of_pixels = len(output) == 4
    if of_pixels:
        reasons.append(f"task: the output has {len(output)} dimensions, so it classifies pixels")
    description = Description(
        size=(height or USUAL_SIDE, width or USUAL_SIDE),
        channels=1 if channels == 1 else 3,
        layout=layout,
        fit="stretch" if of_pixels else "crop",  # whole pictures, as masks are
        task=Task.SEGMENT if of_pixels else Task.CLASSIFY,
        labels=tuple(f"class {k}" for k in range(output[1] or 0)) if of_pixels else None,
    )
    return description, reasons


def _layout(found: Input) -> tuple[Literal["NCHW", "NHWC"], str]:
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
    tried = []
    for name, (mean, std) in (options or {"as the graph has it": (base.mean, base.std)}).items():
        model = described(path, base.model_copy(update={"mean": mean, "std": std}))
        tried.append(Tried(name, Original(model).probabilities(model.preprocessing(picture))))
    return tuple(tried)
