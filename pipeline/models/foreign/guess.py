"""Guesses the description of an ONNX file: from its graph, and by trying normalisations on pictures."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.models.foreign.description import AUTO, CHANNELS, Description, described
from pipeline.models.foreign.norm_statistics import CLOSE, FEWEST_PICTURES, Evidence, weigh
from pipeline.models.foreign.normalisation import normalises_itself
from pipeline.models.foreign.onnx_file import Input, read_input, read_output
from pipeline.models.foreign.original import Original
from pipeline.models.form_choice import FormChoice
from pipeline.models.input_form import InputForm, usual_forms
from pipeline.task import Task

USUAL_SIDE = 224


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
    """A description, the reasons for it, and the results of other normalisations.

    `clear`: whether mean, std and colors are known. They are not if pictures without labels leave several
    candidates: a network may be most confident with a wrong one.
    """

    description: Description
    reasons: tuple[str, ...]
    tried: tuple[Tried, ...] = ()
    clear: bool = True
    candidates: tuple[InputForm, ...] = ()
    fit_lines: tuple[str, ...] = ()
    """TOML lines for the fit, instead of the description's."""

    def decided(self, choice: FormChoice) -> "Guess":
        """Return the guess with the result of labelled images, which takes precedence."""
        if not self.candidates:
            return replace(self, reasons=(*self.reasons, *choice.lines))
        reasons = tuple(one for one in self.reasons if not one.startswith("normalisation"))
        found = replace(self, reasons=(*reasons, *choice.lines), clear=choice.form is not None)
        if choice.form is None:
            return found
        description = with_form(self.description, choice.form)
        return replace(found, description=description, fit_lines=choice.fit_lines)

    def toml(self) -> str:
        """Return the text of the description file."""
        d = self.description
        assert d.size is not None  # noqa: S101 - guess fills it
        lines = [f"size = [{d.size[0]}, {d.size[1]}]", f"channels = {d.channels}", f'layout = "{d.layout}"']
        if self.clear:
            lines += InputForm("", d.mean, d.std, d.colors).lines
        else:
            lines.append("# The normalisation of the training is not known. Keep the lines of one of these,")
            lines.append("# without the #, and remove this one, with which nothing is built:")
            lines.append('normalisation = "undecided"')
            for form in self.candidates:
                lines += [f"# {form.name}:", *(f"#   {line}" for line in form.lines)]
        lines += self.fit_lines or (f'fit = "{d.fit}"',)
        if d.fit == "crop" and not self.fit_lines:
            resize = '"auto"' if d.resize == AUTO else d.resize
            lines.append(
                f"resize = {resize}   # or the shorter side before the centre is cut out, such as 256"
            )
        if any(d.border) and not self.fit_lines:
            lines.append(f"border = {list(d.border)}")
        if d.task is Task.SEGMENT:
            lines.append(f'task = "{d.task}"')
        if isinstance(d.labels, tuple):
            lines.append(f"labels = {json.dumps(d.labels)}   # put their names here")
        else:
            lines.append('# labels = "labels.txt"   # class names, one a line, as the outputs are')
        return "\n".join(lines) + "\n"


def guess(path: Path, shown: NDArray[np.uint8] | Sequence[NDArray[np.uint8]] | None) -> Guess:
    """Guess the input format of the model at `path`; `shown`: pictures uint8 [H, W, C] of any size.

    Layout and size follow from the shape. A normalisation outside the graph can only be found by the
    statistics in its batch norms, if the exporter kept them. Raises CheckpointError for a file that cannot be
    read.
    """
    pictures = () if shown is None else (shown,) if isinstance(shown, np.ndarray) else tuple(shown)
    found = read_input(path)
    base, reasons = _by_the_shapes(path, found)
    if not found.takes_floats:
        less = f" less {found.pixels_less}" if found.pixels_less else ""
        why = f"normalisation: none needed, the input is pixels{less}"
        return Guess(base, (*reasons, why), _try(path, base, (), pictures))
    if normalises_itself(path, base.layout, base.channels or 3):
        base = base.model_copy(update={"std": (1 / 255,)})
        why = "normalisation: the graph begins with one, so its input is pixels from 0 to 255"
        return Guess(base, (*reasons, why), _try(path, base, (), pictures))
    forms = tuple(usual_forms(base.channels or 3))
    tried = _try(path, base, forms, pictures)
    chosen, why, clear = _by_the_norms(path, base, forms, pictures)
    return Guess(with_form(base, forms[chosen]), (*reasons, why), tried, clear, forms)


def with_form(base: Description, form: InputForm) -> Description:
    """Return the description with a form's values."""
    return base.model_copy(update={"mean": form.mean, "std": form.std, "colors": form.colors})


def _by_the_norms(
    path: Path,
    base: Description,
    forms: Sequence[InputForm],
    pictures: Sequence[NDArray[np.uint8]],
) -> tuple[int, str, bool]:
    """Return the index of the most likely form, the reason, and whether it is clear."""
    if not pictures:
        return 0, "normalisation: not in the graph; give --data, or pictures with --image, to try some", False
    model = described(path, base)
    evidence = weigh(model, forms, [model.preprocessing(picture) for picture in pictures])
    if evidence is None:
        why = "normalisation: not in the graph, and it has no batch norms whose statistics could show one"
        return 0, why, False
    nearest = evidence.nearest
    near = f"{forms[nearest].name} gives the batch norms what they remember"
    measured = f"({evidence.distances[nearest]:.3f} nats from it, {evidence.pictures} pictures)"
    if evidence.clear:
        return nearest, f"normalisation: {near} {measured}, and nothing else does", True
    if evidence.distances[nearest] >= CLOSE:
        return (
            nearest,
            "normalisation: no usual one gives the batch norms what they remember",
            False,
        )
    return nearest, f"normalisation: {near} {measured}, but {_not_excluded(evidence, forms)}", False


def _not_excluded(evidence: Evidence, forms: Sequence[InputForm]) -> str:
    """Name the form that is not excluded, and how many pictures would exclude it."""
    rival = forms[evidence.rival].name
    if evidence.pictures < FEWEST_PICTURES:
        return f"so few pictures exclude nothing; give {FEWEST_PICTURES} at the very least"
    if evidence.needed is None:
        return f"{rival} is not excluded, and pictures like these never tell the two apart; give --data"
    pictures = f"about {evidence.needed:,} pictures like these, or labelled ones with --data"
    return f"{rival} is not excluded; {pictures}, would tell the two apart"


def _by_the_shapes(path: Path, found: Input) -> tuple[Description, list[str]]:
    """Return what follows from the shapes of input and output, with reasons: all but mean and std."""
    layout, reason = _layout(found)
    reasons = [reason]
    height, width, channels = found.sides(layout)
    if height is None or width is None:
        reasons.append(f"size: the graph takes any; {USUAL_SIDE} is usual")
    output = read_output(path)
    of_pixels = len(output) == 4 and output[2:] != (1, 1)
    if of_pixels:
        reasons.append(f"task: the output has {len(output)} dimensions, so it classifies pixels")
    description = Description(
        size=(height or USUAL_SIDE, width or USUAL_SIDE),
        channels=1 if channels == 1 else 3,
        layout=layout,
        fit="stretch" if of_pixels else "crop",  # whole pictures, as for masks
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
    forms: Sequence[InputForm],
    pictures: Sequence[NDArray[np.uint8]],
) -> tuple[Tried, ...]:
    """Classify the first picture with each form."""
    if not pictures:
        return ()
    tried = []
    for form in forms or (InputForm("as the graph has it", base.mean, base.std),):
        model = described(path, with_form(base, form))
        tried.append(Tried(form.name, Original(model).probabilities(model.preprocessing(pictures[0]))))
    return tuple(tried)
