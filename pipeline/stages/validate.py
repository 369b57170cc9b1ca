"""Answers to all evaluation images -> accuracy.json: FP32 and INT8 on the same pixels.

If FP16 competes with INT8 on the device, accuracy_fp16.json has FP32 and FP16 as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.image_answers import ImageAnswers, image_accuracy
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.pixel_answers import PixelAnswers, pixel_accuracy
from pipeline.stages.answer import (
    ANSWERS,
    ANSWERS_FP16,
    SKIPPED,
    TOOLS,
    SkippedImages,
    UnitAnswers,
)
from pipeline.stages.compile import CompiledEngine
from targets.base import Origin
from targets.reference import ReferenceTarget

ACCURACY, ACCURACY_FP16 = "accuracy.json", "accuracy_fp16.json"
OF = {ANSWERS: ACCURACY, ANSWERS_FP16: ACCURACY_FP16}


@dataclass(frozen=True)
class Validate(Stage):
    """Combine the answers of all units."""

    name: ClassVar[str] = "validate"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    engine: CompiledEngine
    units: tuple[UnitAnswers, ...]
    """In evaluation order."""

    def run(self, output: Path, progress: Progress) -> None:
        """Write accuracy.json and skipped.json, and accuracy_fp16.json if the device has FP16."""
        origin = self.engine.target_reporting_to(progress).origin
        for answers, accuracy in OF.items():
            if answers in self.units[0].names:
                found = accuracy_of([unit.load(answers) for unit in self.units], origin)
                found.save(output / accuracy)
        skipped = tuple(image for unit in self.units for image in unit.skipped())
        (output / SKIPPED).write_bytes(SkippedImages.dump_json(skipped))


def accuracy_of(parts: Sequence[ImageAnswers | PixelAnswers], origin: Origin) -> Accuracy | PixelAccuracy:
    """Return the accuracy on all images; `origin` says where the engine ran."""
    of_images = [part for part in parts if isinstance(part, ImageAnswers)]
    of_pixels = [part for part in parts if isinstance(part, PixelAnswers)]
    if of_pixels:
        return pixel_accuracy(of_pixels, ReferenceTarget.origin, origin)
    return image_accuracy(of_images, ReferenceTarget.origin, origin)
