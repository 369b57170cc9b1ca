"""model.onnx + calibration images -> ranges.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.data.split import Split
from pipeline.progress import Progress
from pipeline.stage import Stage
from pipeline.store import Product
from targets.runtime.preprocess import Preprocessing

BATCH = 16


@dataclass(frozen=True)
class Calibrate(Stage):
    """Observe the float model on the calibration images."""

    name: ClassVar[str] = "calibrate"
    code: ClassVar[tuple[str, ...]] = (
        "pipeline/stages/calibrate.py",
        "pipeline/data",
        "calibration",
        "targets/runtime/preprocess.py",
    )
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime", "numpy", "opencv-python")

    float_model: Product
    images: Split
    preprocessing: Preprocessing
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write ranges.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.collect import collect

        with progress.task("calibrate", len(self.images.samples)) as advance:
            batches = (batch.images for batch in self.images.batches(self.preprocessing, BATCH))
            ranges = collect(self.float_model.file("model.onnx"), batches, self.recipe, advance)
        ranges.save(output / "ranges.json")
