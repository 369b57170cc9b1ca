"""model.onnx + many calibration images -> study.json: how many of them are enough."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.model.calibration_study import CalibrationStudy, Count, Draw
from pipeline.stages.artifacts import Artifact, FloatModel
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS


@dataclass(frozen=True)
class StudyFile(Artifact):
    """What `Study` wrote."""

    file_name: ClassVar[str] = "study.json"

    def load(self) -> CalibrationStudy:
        """Read it."""
        return CalibrationStudy.model_validate_json(self.path.read_text())


@dataclass(frozen=True)
class Study(Stage):
    """Quantise with 8, 16, 32, ... images, several random draws each, and compare with the float model."""

    name: ClassVar[str] = "study"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    model: str
    dataset: str
    float_model: FloatModel
    images: ModelImages
    recipe: QuantRecipe
    most: int
    draws: int

    def run(self, output: Path, progress: Progress) -> None:
        """Write study.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.explore.image_count import ENOUGH_DB, Design, Pool, enough, study

        pool, held_out = self.images.hold_out()
        counts = tuple(2**k for k in range(3, 20) if 2**k <= min(self.most, len(pool)))
        design = Design(counts or (min(self.most, len(pool)),), tuple(range(self.draws)))
        total = len(design.counts) * self.draws
        source = Pool(len(pool), lambda chosen: pool.at(chosen).batches())
        with TemporaryDirectory(dir=output) as scratch, progress.task("study", total) as advance:
            model = self.float_model.path
            points = study(model, self.recipe, source, held_out.batches, Path(scratch), design, advance)
        found = CalibrationStudy(
            model=self.model,
            recipe=self.recipe.name,
            dataset=self.dataset,
            judged_on=len(held_out),
            counts=tuple(
                Count(
                    images=point.images,
                    draws=tuple(
                        Draw(seed=seed, sqnr_db=draw.sqnr_db, agreement=draw.agreement)
                        for seed, draw in zip(design.seeds, point.draws, strict=True)
                    ),
                )
                for point in points
            ),
            tolerance_db=ENOUGH_DB,
            enough=enough(points),
        )
        found.save(output / StudyFile.file_name)
