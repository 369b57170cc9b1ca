"""model.onnx + ranges.json -> model.int8.onnx, the last form that is portable."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel, QuantizedModel, RangesFile
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS

if TYPE_CHECKING:
    from calibration.produce import Produced


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network in 8 bits, and what it was made from."""

    float_model: FloatModel
    ranges: RangesFile
    int8_model: QuantizedModel
    recipe: QuantRecipe

    def produced(self) -> "Produced":
        """Return its files, with the ranges read."""
        from calibration.produce import Produced

        return Produced(self.float_model.path, self.ranges.load(), self.int8_model.path)


@dataclass(frozen=True)
class Quantize(Stage):
    """Insert Q/DQ nodes into the graph and quantise the weights.

    `images` is None for a recipe that needs only ranges.
    """

    name: ClassVar[str] = "quantize"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    ranges: RangesFile
    recipe: QuantRecipe
    images: ModelImages | None

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.int8.onnx. Raises calibration's errors if the graph breaks a rule of placement."""
        import onnx

        from calibration.find_parameters import images_read
        from calibration.left_out import left_out
        from calibration.qdq import quantize

        total = images_read(self.recipe, len(self.images)) if self.images else None
        with progress.task("quantize", total) as advance:
            ranges = self.ranges.load()
            images = self.images.batches() if self.images else ()
            source = self.float_model.path
            quantize(source, ranges, self.recipe, output / QuantizedModel.file_name, images, advance)
        for note in left_out(onnx.load(output / QuantizedModel.file_name)):
            progress.say(f"quantize: left out of the recipe: {note}")
