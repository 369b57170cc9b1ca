"""model.onnx + calibration images -> ranges.json."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe
from pipeline.data.split import Split
from pipeline.progress import Progress
from pipeline.stage import Stage
from pipeline.store import Product
from targets.runtime.preprocess import Preprocessing

BATCH = 16
JUDGE_EVERY = 4
CODE = ("pipeline/stages/calibrate.py", "pipeline/data", "calibration", "targets/runtime/preprocess.py")
TOOLS = ("onnx", "onnxruntime", "numpy", "opencv-python")


@dataclass(frozen=True)
class CalibrationImages:
    """The images that a network is quantised on, as the network sees them."""

    split: Split
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.split)

    def judges_apart(self) -> tuple["CalibrationImages", "CalibrationImages"]:
        """Return the images to quantise on, and those that judge what comes of it: one in JUDGE_EVERY."""
        everyone = range(len(self))
        return self.at([i for i in everyone if i % JUDGE_EVERY]), self.at(everyone[::JUDGE_EVERY])

    def at(self, positions: Sequence[int]) -> "CalibrationImages":
        """Return the images at these positions, in this order."""
        return replace(self, split=self.split.subset(positions))

    def stratified(self, count: int) -> "CalibrationImages":
        """Return `count` of the images, drawn evenly from all classes."""
        return replace(self, split=self.split.stratified(count))

    def labels(self) -> NDArray[np.int64]:
        """Return the class of each image that `batches` gives, int64 [N]: damaged ones are left out."""
        return np.concatenate([batch.labels for batch in self.split.batches(self.preprocessing, BATCH)])

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Yield uint8 [n, H, W, C] from the first image on."""
        return (batch.images for batch in self.split.batches(self.preprocessing, BATCH))


@dataclass(frozen=True)
class Calibrate(Stage):
    """Observe the float model on the calibration images."""

    name: ClassVar[str] = "calibrate"
    code: ClassVar[tuple[str, ...]] = CODE
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: Product
    images: CalibrationImages
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write ranges.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.collect import collect

        with progress.task("calibrate", len(self.images)) as advance:
            source = self.float_model.file("model.onnx")
            ranges = collect(source, self.images.batches(), self.recipe, advance)
        ranges.save(output / "ranges.json")
