"""The files of a validation, as later stages read them."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import TypeAdapter

from pipeline.report.model.any_accuracy import AnyAccuracy
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.model.subject import SkippedImage
from pipeline.stages.answer import SKIPPED, SkippedImages
from pipeline.stages.artifacts import Artifact
from pipeline.stages.validate import ACCURACY, ACCURACY_FP16

EitherAccuracy: TypeAdapter[Accuracy | PixelAccuracy] = TypeAdapter(AnyAccuracy)


@dataclass(frozen=True)
class AccuracyFiles(Artifact):
    """What `Validate` wrote."""

    file_name: ClassVar[str] = ACCURACY

    def load(self) -> Accuracy | PixelAccuracy:
        """Read the accuracy of FP32 and INT8."""
        return EitherAccuracy.validate_json(self.path.read_bytes())

    def load_fp16(self) -> Accuracy | PixelAccuracy | None:
        """Read the accuracy of FP32 and FP16; None where FP16 does not compete."""
        if ACCURACY_FP16 not in self.names:
            return None
        return EitherAccuracy.validate_json(self.file(ACCURACY_FP16).read_bytes())

    def skipped(self) -> tuple[SkippedImage, ...]:
        """Read which images could not be decoded."""
        return SkippedImages.validate_json(self.file(SKIPPED).read_bytes())
