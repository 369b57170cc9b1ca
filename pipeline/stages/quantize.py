"""model.onnx + ranges.json -> model.int8.onnx, the last portable form."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.progress import Progress
from pipeline.stage import Stage
from pipeline.store import Product


@dataclass(frozen=True)
class Quantize(Stage):
    """Place quantisation into the graph and quantise the weights."""

    name: ClassVar[str] = "quantize"
    code: ClassVar[tuple[str, ...]] = ("pipeline/stages/quantize.py", "calibration")
    tools: ClassVar[tuple[str, ...]] = ("onnx", "numpy")

    float_model: Product
    ranges: Product
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.int8.onnx. Raises calibration's errors if the graph breaks a rule of placement."""
        from calibration.qdq import quantize
        from calibration.ranges import Ranges

        with progress.task("quantize", None):
            ranges = Ranges.load(self.ranges.file("ranges.json"))
            quantize(self.float_model.file("model.onnx"), ranges, self.recipe, output / "model.int8.onnx")
