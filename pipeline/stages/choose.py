"""recipe=auto: recipes are tried with some calibration images and judged on the others."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from calibration.recipe import QuantRecipe, Scheme
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import Artifact, FloatModel
from pipeline.stages.image_set import ModelImages
from pipeline.stages.observe_part import TOOLS


@dataclass(frozen=True)
class ChosenRecipe(Artifact):
    """What `Choose` wrote."""

    file_name: ClassVar[str] = "choice.json"

    @property
    def recipe(self) -> QuantRecipe:
        """The recipe that was chosen."""
        return QuantRecipe.parse(json.loads(self.path.read_text())["recipe"])


@dataclass(frozen=True)
class Choose(Stage):
    """Keep the recipe whose logits are closest to the float model's, within a time budget."""

    name: ClassVar[str] = "choose"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    images: ModelImages
    scheme: Scheme
    budget_seconds: float

    def run(self, output: Path, progress: Progress) -> None:
        """Write choice.json. Raises calibration's errors for a model or images that cannot be used."""
        from calibration.explore.auto import pick_recipe

        shown, held_out = self.images.hold_out()
        source = self.float_model.path
        with TemporaryDirectory(dir=output) as scratch, progress.task("choose a recipe", None):
            choice = pick_recipe(
                source, self.scheme, shown.batches, held_out.batches, self.budget_seconds, Path(scratch)
            )
        for trial in choice.trials:
            progress.say(
                f"choose: {trial.recipe.name}: SQNR {trial.closeness.sqnr_db:.2f} dB, same top-1 "
                f"{trial.closeness.agreement:.2%} of {len(held_out)} images, {trial.seconds:.0f} s"
            )
        for skipped in choice.skipped:
            progress.say(f"choose: {skipped.name}: not tried, the {self.budget_seconds:g} s were used up")
        trials = [{**asdict(trial), "recipe": trial.recipe.name} for trial in choice.trials]
        record = {"recipe": choice.recipe.name, "trials": trials}
        (output / ChosenRecipe.file_name).write_text(json.dumps(record, indent=1))
