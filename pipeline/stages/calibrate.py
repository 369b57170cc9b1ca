"""model.onnx + calibration images -> ranges.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel, RangesFile
from pipeline.stages.image_set import ModelImages

TOOLS = ("onnx", "onnxruntime", "numpy", "opencv-python")


@dataclass(frozen=True)
class Calibrate(Stage):
    """Observe the float model on the calibration images."""

    name: ClassVar[str] = "calibrate"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    images: ModelImages
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write ranges.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.collect import collect, images_observed

        with progress.task("calibrate", images_observed(self.recipe, len(self.images))) as advance:
            source = self.float_model.path
            ranges = collect(source, self.images.batches(), self.recipe, advance)
        ranges.save(output / RangesFile.file_name)
