"""Engine + a unit of evaluation images -> answers.json: what FP32 and INT8 say about the same pixels.

A set is validated in units of a fixed size, each an entry of the store. So a validation that was killed
resumes, and several machines can share one.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.cache.stage import Stage
from pipeline.data.split import Batch, Sample, ShownNames
from pipeline.progress import Progress
from pipeline.report.image_answers import ImageAnswers
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.model.subject import SkippedImage
from pipeline.report.pixel_answers import PixelAnswers
from pipeline.report.pixel_tally import PixelTally
from pipeline.stages.artifacts import Artifact, FloatModel
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from pipeline.task import Task
from targets.base import HasFp16
from targets.reference import ReferenceTarget

UNIT_IMAGES = 1024
"""A multiple of every batch size, so that batches are the same as without units."""
BATCHES = {Task.CLASSIFY: 32, Task.SEGMENT: 4}
"""Batch sizes; the logits of pixels take much memory."""
TALLIES: dict[Task, type[AccuracyTally | PixelTally]] = {
    Task.CLASSIFY: AccuracyTally,
    Task.SEGMENT: PixelTally,
}
ANSWERS, ANSWERS_FP16, SKIPPED = "answers.json", "answers_fp16.json", "skipped.json"
TOOLS = ("onnxruntime", "numpy", "opencv-python", "scipy")
SkippedImages = TypeAdapter(tuple[SkippedImage, ...])
EitherAnswers: TypeAdapter[ImageAnswers | PixelAnswers] = TypeAdapter(ImageAnswers | PixelAnswers)


def units_of(images: ModelImages) -> list[ModelImages]:
    """Cut evaluation images into units, in order."""
    places = range(len(images))
    return [images.at(places[start : start + UNIT_IMAGES]) for start in places[::UNIT_IMAGES]]


@dataclass(frozen=True)
class UnitAnswers(Artifact):
    """What `AnswerImages` wrote."""

    file_name: ClassVar[str] = ANSWERS

    def load(self, name: str) -> ImageAnswers | PixelAnswers:
        """Read the answers of FP32 and INT8, or with ANSWERS_FP16 those of FP32 and FP16."""
        return EitherAnswers.validate_json(self.file(name).read_bytes())

    def skipped(self) -> tuple[SkippedImage, ...]:
        """Read which images could not be decoded."""
        return SkippedImages.validate_json(self.file(SKIPPED).read_bytes())


@dataclass(frozen=True)
class AnswerImages(Stage):
    """Run the float model in onnxruntime and the engine on its target on one unit of images."""

    name: ClassVar[str] = "answer"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    engine: CompiledEngine
    images: ModelImages
    names: ShownNames
    task: Task = Task.CLASSIFY

    def run(self, output: Path, progress: Progress) -> None:
        """Write answers.json and skipped.json, and answers_fp16.json if the device has FP16."""
        skipped: list[SkippedImage] = []

        def skip(sample: Sample, reason: str) -> None:
            skipped.append(SkippedImage(name=sample.name, reason=reason))
            progress.say(f"validate: skipped {sample.name}: {reason}")

        target = self.engine.target_reporting_to(progress)
        with ExitStack() as opened:
            fp32 = opened.enter_context(ReferenceTarget().open(self.float_model.path))
            engines = {ANSWERS: opened.enter_context(target.open(self.engine.path))}
            if isinstance(target, HasFp16):
                engines[ANSWERS_FP16] = opened.enter_context(target.open_fp16(self.engine.path))
            tallies = {name: TALLIES[self.task](len(self.images.split.classes)) for name in engines}
            advance = opened.enter_context(progress.task("validate", len(self.images)))
            for batch in self.images.readable(BATCHES[self.task], skip):
                expected = fp32.infer(batch.images)
                for name, engine in engines.items():
                    count(tallies[name], expected, engine.infer(batch.images), batch)
                advance(len(batch.samples))
        for name, tally in tallies.items():
            tally.answers().save(output / name)
        (output / SKIPPED).write_bytes(SkippedImages.dump_json(tuple(skipped)))


def count(
    tally: AccuracyTally | PixelTally, fp32: NDArray[np.float32], int8: NDArray[np.float32], batch: Batch
) -> None:
    """Count the logits of both networks for one batch."""
    names = [sample.name for sample in batch.samples]
    if isinstance(tally, PixelTally):
        tally.add(fp32, int8, batch.masks, batch.images, names)
    else:
        tally.add(fp32, int8, batch.labels, batch.images, names)
