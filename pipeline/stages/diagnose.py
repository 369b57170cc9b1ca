"""Network + labelled images -> diagnosis.json: why FP32 does no better than guessing, if a cause is found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, assert_never

import numpy as np

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.diagnosis.causes import diagnose
from pipeline.diagnosis.examples import BATCH, Answers, Pixels
from pipeline.diagnosis.foreign_answers import foreign_answers
from pipeline.diagnosis.trial import TriedNetwork
from pipeline.models.foreign.description import ForeignModel, description_file
from pipeline.models.input_form import InputForm
from pipeline.models.zoo import KnownModel
from pipeline.progress import Progress
from pipeline.report.model.input_diagnosis import EXPORT


@dataclass(frozen=True)
class Diagnose(Stage):
    """Try the usual causes on the user's network, before edgec changes it."""

    name: ClassVar[str] = "diagnose"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "numpy", "scipy", "opencv-python")
    optional_tools: ClassVar[tuple[str, ...]] = ("torch",)

    model: KnownModel | ForeignModel
    file: InputFile
    weights: str | None
    """Which of several sets in the file."""
    images: Split

    def run(self, output: Path, progress: Progress) -> None:
        """Write diagnosis.json."""
        with progress.task("look for the cause of FP32's guesses", None):
            subject, where = subject_of(self.model, self.file.path, self.weights, len(self.images.classes))
            found = diagnose(subject, self.images, where, self.images.classes)
        found.save(output / "diagnosis.json")
        progress.say(f"diagnose: {found.conclusion}")


def subject_of(
    model: KnownModel | ForeignModel, file: Path, weights: str | None, classes: int
) -> tuple[TriedNetwork, str]:
    """Return the network to try input forms on, and the file and table where the right form is configured."""
    match model:
        case ForeignModel():
            from pipeline.models.foreign.onnx_file import read_input

            takes_floats = read_input(file).takes_floats
            subject = TriedNetwork(foreign_answers(model), model.preprocessing, takes_floats, can_fit=True)
            return subject, description_file(model.path).name
        case KnownModel():
            answers = _known(model, file, weights, classes)
            return TriedNetwork(answers, model.preprocessing, True, can_fit=False), EXPORT
        case _:
            assert_never(model)


def _known(
    model: KnownModel, file: Path, weights: str | None, classes: int
) -> Callable[[InputForm | None, Pixels], Answers]:
    import torch

    from pipeline.models.checkpoint import load_model
    from pipeline.models.resnet import FromPixels

    network = load_model(model, file, classes, weights)

    def answers(form: InputForm | None, pixels: Pixels) -> Answers:
        tried = model if form is None else form
        on_pixels = FromPixels(network, tried.mean, tried.std).eval()
        ordered = pixels[..., ::-1] if tried.colors == "BGR" else pixels
        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(ordered))
            found = [on_pixels(images[i : i + BATCH]).argmax(1) for i in range(0, len(images), BATCH)]
            return np.asarray(torch.cat(found).numpy(), np.int64)

    return answers
