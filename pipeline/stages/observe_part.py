"""model.onnx + a part of the calibration images -> observed.json: the state of the observers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe
from pipeline.cache.stage import Stage
from pipeline.data.split import Sample
from pipeline.progress import Progress
from pipeline.stages.artifacts import Artifact, FloatModel
from pipeline.stages.image_set import BATCH, ModelImages

if TYPE_CHECKING:
    from calibration.observed_images import ObservedImages

TOOLS = ("onnx", "onnxruntime", "numpy", "opencv-python")
PART_IMAGES = 256
DAMAGED = "damaged.json"
"""Names and reasons of unreadable images. The limit on their number is that of the whole set."""


def parts_of(images: ModelImages) -> list[ModelImages]:
    """Cut calibration images into parts, in order."""
    places = range(len(images))
    return [images.at(places[start : start + PART_IMAGES]) for start in places[::PART_IMAGES]]


@dataclass(frozen=True)
class ObservedPart(Artifact):
    """What `ObservePart` wrote."""

    file_name: ClassVar[str] = "observed.json"

    def load(self, recipe: QuantRecipe) -> "ObservedImages":
        """Read what was seen; `recipe` is the one that it was seen for."""
        from calibration.observed_images import ObservedImages

        return ObservedImages.load(self.path, recipe)

    def damaged(self) -> list[tuple[str, str]]:
        """Read which images could not be decoded."""
        return [(name, reason) for name, reason in json.loads(self.file(DAMAGED).read_text())]


@dataclass(frozen=True)
class ObservePart(Stage):
    """Observe the float model on some of the calibration images."""

    name: ClassVar[str] = "observe"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    images: ModelImages
    recipe: QuantRecipe

    def run(self, output: Path, progress: Progress) -> None:
        """Write observed.json and damaged.json. Raises ModelError and ImagesError."""
        from calibration.observed_images import ObservedImages

        damaged: list[tuple[str, str]] = []

        def skip(sample: Sample, reason: str) -> None:
            damaged.append((sample.name, reason))
            progress.say(f"calibrate: skipped {sample.name}: {reason}")

        def pixels() -> Iterator[NDArray[np.uint8]]:
            for batch in self.images.readable(BATCH, skip):
                yield batch.images

        with progress.task("calibrate", len(self.images)) as advance:
            found = ObservedImages.of(self.float_model.path, pixels(), self.recipe, advance)
        found.save(output / ObservedPart.file_name)
        (output / DAMAGED).write_text(json.dumps(damaged))
