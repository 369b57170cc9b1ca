"""model.onnx + calibration images -> the same network, rewritten to lose less accuracy in 8 bits."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS


@dataclass(frozen=True)
class Prepare(Stage):
    """Rescale channels and centre activations, as the recipe says."""

    name: ClassVar[str] = "prepare"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    images: ModelImages
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.onnx. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.prepare_float import prepare

        with progress.task("prepare", None) as advance:
            source = self.float_model.path
            prepare(source, self.images.batches, self.recipe, output / FloatModel.file_name, advance)
