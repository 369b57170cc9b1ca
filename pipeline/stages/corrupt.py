"""Engine + some evaluation images -> robustness.json: FP32 and INT8 on the same images, corrupted.

The images are computed in units, as those of a validation are.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.corruption_loss import CorruptedAnswers, RobustnessTally, robustness
from pipeline.stages.answer import TOOLS
from pipeline.stages.artifacts import Artifact, FloatModel
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from targets.reference import ReferenceTarget

BATCH = 32
SEVERITIES = (1, 3, 5)


@dataclass(frozen=True)
class UnitCorrupted(Artifact):
    """What `AnswerCorrupted` wrote."""

    file_name: ClassVar[str] = "corrupted.json"

    def load(self) -> CorruptedAnswers:
        """Read which images are right."""
        return CorruptedAnswers.model_validate_json(self.path.read_bytes())


@dataclass(frozen=True)
class AnswerCorrupted(Stage):
    """Corrupt a unit of preprocessed images in every way and run the float model and the engine on them.

    Each corruption at each severity is applied to all of `images`; `seed` decides random noise.
    """

    name: ClassVar[str] = "corrupt"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    engine: CompiledEngine
    images: ModelImages
    seed: int

    def run(self, output: Path, progress: Progress) -> None:
        """Write corrupted.json; images that cannot be read are left out, as validation has reported them."""
        from pipeline.data.corruptions import CORRUPTIONS

        corruptions = {(c.name, severity): c for c, severity in product(CORRUPTIONS, SEVERITIES)}
        tally = RobustnessTally(list(corruptions))
        target = self.engine.target_reporting_to(progress)
        with (
            ReferenceTarget().open(self.float_model.path) as fp32,
            target.open(self.engine.path) as int8,
            progress.task("robustness", len(self.images)) as advance,
        ):
            for batch in self.images.readable(BATCH):
                clean = batch.images
                tally.add(None, fp32.infer(clean), int8.infer(clean), batch.labels)
                for condition, corruption in corruptions.items():
                    corrupted = np.stack([corruption(image, condition[1], self.seed) for image in clean])
                    tally.add(condition, fp32.infer(corrupted), int8.infer(corrupted), batch.labels)
                advance(len(batch.labels))
        tally.answers().save(output / UnitCorrupted.file_name)


@dataclass(frozen=True)
class Corrupt(Stage):
    """Combine the answers of all units. images: all of them; units: in their order."""

    name: ClassVar[str] = "robustness"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    engine: CompiledEngine
    images: ModelImages
    units: tuple[UnitCorrupted, ...]
    seed: int

    def run(self, output: Path, progress: Progress) -> None:
        """Write robustness.json. Raises ReportError if not one image could be read."""
        from pipeline.data.corruptions import parameters_of

        found = robustness(
            [unit.load() for unit in self.units],
            ReferenceTarget.origin,
            self.engine.target_reporting_to(progress).origin,
            parameters_of(self.images.preprocessing.height, self.images.preprocessing.width),
            self.seed,
            self.images.split.digest,
        )
        found.save(output / "robustness.json")
