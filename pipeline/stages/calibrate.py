"""model.onnx + calibration images -> ranges.json."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.own_code import code_digest
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel, RangesFile
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS, ObservedPart


@dataclass(frozen=True)
class Calibrate(Stage):
    """Observe the float model on the calibration images.

    parts: the observations of workers, which cover all images, in any order. Without parts this stage
    observes the images itself. The output is the same, byte for byte.
    """

    name: ClassVar[str] = "calibrate"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    images: ModelImages
    recipe: QuantRecipe
    parts: tuple[ObservedPart, ...] = ()

    def key(self, code: Callable[[tuple[Path, ...]], str] = code_digest) -> str:
        """Return the key of the same stage without parts."""
        return replace(self, parts=()).key(code) if self.parts else super().key(code)

    def run(self, output: Path, progress: Progress) -> None:
        """Write ranges.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.collect import collect, first_images, images_observed, ranges_from

        source = self.float_model.path
        total = images_observed(self.recipe, len(self.images)) - (len(self.images) if self.parts else 0)
        with progress.task("calibrate", total or None) as advance:
            if self.parts:
                damaged = [one for part in self.parts for one in part.damaged()]
                self.images.split.refuse_if_too_many(damaged)
                first, *others = (part.load(self.recipe) for part in self.parts)
                for other in others:
                    first.merge(other)
                held = first_images(self.images.batches(), self.recipe)
                ranges = ranges_from(source, first, self.recipe, held, advance)
            else:
                ranges = collect(source, self.images.batches(), self.recipe, advance)
        ranges.save(output / RangesFile.file_name)
        if ranges.outlook:
            progress.say(f"calibrate: {ranges.outlook}")
