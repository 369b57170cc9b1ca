"""Network + labelled images -> diagnosis.json: why FP32 does no better than guessing, if it shows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.diagnosis.causes import diagnose
from pipeline.diagnosis.input_form import InputForm
from pipeline.diagnosis.trial import BATCH, Answers, Pixels, TriedNetwork
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.zoo import KnownModel
from pipeline.progress import Progress
from pipeline.report.sections.diagnosis import EXPORT

FILE = "diagnosis.json"


@dataclass(frozen=True)
class Diagnose(Stage):
    """Try the usual causes on the network as it came, before anything of edgec's is done to it."""

    name: ClassVar[str] = "diagnose"
    tools: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnxruntime", "numpy", "scipy", "opencv-python")

    model: KnownModel | ForeignModel
    file: InputFile
    weights: str | None
    """Which of several sets in the file."""
    images: Split

    def run(self, output: Path, progress: Progress) -> None:
        """Write diagnosis.json."""
        with progress.task("look for what makes FP32 guess", None):
            subject, where = subject_of(self.model, self.file.path, self.weights, len(self.images.classes))
            found = diagnose(subject, self.images, where, self.images.classes)
        found.save(output / FILE)
        progress.say(f"diagnose: {found.conclusion}")


def subject_of(
    model: KnownModel | ForeignModel, file: Path, weights: str | None, classes: int
) -> tuple[TriedNetwork, str]:
    """Return what to try forms on, and where the lines belong that say which is right."""
    if isinstance(model, ForeignModel):
        from pipeline.models.foreign.onnx_file import read_input

        subject = TriedNetwork(
            foreign_answers(model), model.preprocessing, read_input(file).takes_floats, True
        )
        return subject, description_file(model.path).name
    return TriedNetwork(
        _known(model, file, weights, classes), model.preprocessing, True, can_fit=False
    ), EXPORT


def foreign_answers(model: ForeignModel) -> Callable[[InputForm | None, Pixels], Answers]:
    """Return what says the class of each picture, by the file as it is."""
    from pipeline.models.foreign.original import Original

    def answers(form: InputForm | None, pixels: Pixels) -> Answers:
        told = model
        if form is not None:
            told = replace(model, mean=form.mean, std=form.std, colors=form.colors)
        original = Original(told)
        return np.array([int(original.infer(image).argmax()) for image in pixels], np.int64)

    return answers


def _known(
    model: KnownModel, file: Path, weights: str | None, classes: int
) -> Callable[[InputForm | None, Pixels], Answers]:
    import torch

    from pipeline.models.checkpoint import load_model
    from pipeline.models.resnet import FromPixels

    network = load_model(model, file, classes, weights)

    def answers(form: InputForm | None, pixels: Pixels) -> Answers:
        told = model if form is None else form
        eyes = FromPixels(network, told.mean, told.std).eval()
        turned = pixels[..., ::-1] if told.colors == "BGR" else pixels
        with torch.inference_mode():
            whole = torch.from_numpy(np.ascontiguousarray(turned))
            found = [eyes(whole[i : i + BATCH]).argmax(1) for i in range(0, len(whole), BATCH)]
            return np.asarray(torch.cat(found).numpy(), np.int64)

    return answers
