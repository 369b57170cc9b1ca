"""model.onnx + ranges.json -> model.int8.onnx, the last portable form."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.product import Product
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.calibrate import TOOLS
from pipeline.stages.image_set import ModelImages

if TYPE_CHECKING:
    from calibration.produce import Produced


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network in 8 bits, and what it was made from."""

    float_model: Product
    ranges: Product
    int8_model: Product
    recipe: QuantRecipe

    def produced(self) -> "Produced":
        """Return its files, with the ranges read."""
        from calibration.produce import Produced
        from calibration.ranges import Ranges

        return Produced(
            self.float_model.file("model.onnx"),
            Ranges.load(self.ranges.file("ranges.json")),
            self.int8_model.file("model.int8.onnx"),
        )


@dataclass(frozen=True)
class Quantize(Stage):
    """Place quantisation into the graph and quantise the weights.

    `images` is None for a recipe that needs only ranges.
    """

    name: ClassVar[str] = "quantize"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: Product
    ranges: Product
    recipe: QuantRecipe
    images: ModelImages | None

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.int8.onnx. Raises calibration's errors if the graph breaks a rule of placement."""
        from calibration.find_parameters import images_read
        from calibration.qdq import quantize
        from calibration.ranges import Ranges

        total = images_read(self.recipe, len(self.images)) if self.images else None
        with progress.task("quantize", total) as advance:
            ranges = Ranges.load(self.ranges.file("ranges.json"))
            images = self.images.batches() if self.images else ()
            source = self.float_model.file("model.onnx")
            quantize(source, ranges, self.recipe, output / "model.int8.onnx", images, advance)
