"""Engine + evaluation images -> accuracy.json: FP32 and INT8 on the same pixels.

If FP16 competes with INT8 on the device, accuracy_fp16.json has FP32 and FP16 as well.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.cache.stage import Stage
from pipeline.data.dataset import Dataset
from pipeline.data.split import Batch, Sample, ShownNames
from pipeline.progress import Progress
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.model.subject import SkippedImage
from pipeline.report.pixel_tally import PixelTally
from pipeline.stages.artifacts import FloatModel
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from pipeline.task import Task
from targets.base import HasFp16
from targets.reference import ReferenceTarget

TALLIES: dict[Task, type[AccuracyTally | PixelTally]] = {
    Task.CLASSIFY: AccuracyTally,
    Task.SEGMENT: PixelTally,
}
BATCHES = {Task.CLASSIFY: 32, Task.SEGMENT: 4}
"""Batch sizes; the logits of pixels take much memory."""
ACCURACY, ACCURACY_FP16, SKIPPED = "accuracy.json", "accuracy_fp16.json", "skipped.json"
TOOLS = ("onnxruntime", "numpy", "opencv-python", "scipy")
SkippedImages = TypeAdapter(tuple[SkippedImage, ...])


@dataclass(frozen=True)
class TrainingImages:
    """The training images of the data set: an evaluation image among them is an error."""

    dataset: Dataset
    digest: str
    """The digest of the training images, or of the files that they are packed in."""

    def refuse_leak(self) -> None:
        """Raise DataError naming images that are in both splits."""
        self.dataset.refuse_leak()


@dataclass(frozen=True)
class Validate(Stage):
    """Run the float model in onnxruntime and the engine on its target, image by image, and compare."""

    name: ClassVar[str] = "validate"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    engine: CompiledEngine
    images: ModelImages
    names: ShownNames
    training: TrainingImages | None = None
    task: Task = Task.CLASSIFY

    def run(self, output: Path, progress: Progress) -> None:
        """Write accuracy.json and skipped.json, and accuracy_fp16.json if the device has FP16.

        Raises DataError if training images are evaluated on, or too many images are damaged.
        """
        if self.training:
            with progress.task("compare training with evaluation images", None):
                self.training.refuse_leak()
        skipped: list[SkippedImage] = []

        def skip(sample: Sample, reason: str) -> None:
            skipped.append(SkippedImage(name=sample.name, reason=reason))
            progress.say(f"validate: skipped {sample.name}: {reason}")

        target = self.engine.target_reporting_to(progress)
        with ExitStack() as opened:
            fp32 = opened.enter_context(ReferenceTarget().open(self.float_model.path))
            engines = {ACCURACY: opened.enter_context(target.open(self.engine.path))}
            if isinstance(target, HasFp16):
                engines[ACCURACY_FP16] = opened.enter_context(target.open_fp16(self.engine.path))
            tallies = {name: TALLIES[self.task](len(self.images.split.classes)) for name in engines}
            advance = opened.enter_context(progress.task("validate", len(self.images)))
            for batch in self.images.split.batches(self.images.preprocessing, BATCHES[self.task], skip):
                expected = fp32.infer(batch.images)
                for name, engine in engines.items():
                    count(tallies[name], expected, engine.infer(batch.images), batch)
                advance(len(batch.samples))
        for name, tally in tallies.items():
            tally.accuracy(ReferenceTarget.origin, target.origin).save(output / name)
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
