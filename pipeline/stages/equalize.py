"""model.onnx + calibration images -> the same network with channels rescaled for 8 bits."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.progress import Progress
from pipeline.stage import Stage
from pipeline.stages.calibrate import CODE, TOOLS, CalibrationImages
from pipeline.store import Product


@dataclass(frozen=True)
class Equalize(Stage):
    """Rescale channels so that quantisation disturbs the logits least."""

    name: ClassVar[str] = "equalize"
    code: ClassVar[tuple[str, ...]] = (*CODE, "pipeline/stages/equalize.py")
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: Product
    images: CalibrationImages
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.onnx. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.equalize import equalize

        with progress.task("equalize", None) as advance:
            source = self.float_model.file("model.onnx")
            equalize(source, self.images.batches(), self.recipe, output / "model.onnx", advance)
