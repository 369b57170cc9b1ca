"""Chooses the recipe of a network that has none, by its operators."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import QuantRecipe
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel
from pipeline.stages.choose import ChosenRecipe
from pipeline.stages.observe_part import TOOLS


@dataclass(frozen=True)
class ChooseDefault(Stage):
    """Look at the operators of a network that is not of our own family; `usual` is the target's recipe.

    `reads_wide`: whether the target takes activations of 16 bits.
    """

    name: ClassVar[str] = "recipe"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    float_model: FloatModel
    usual: QuantRecipe
    reads_wide: bool

    def run(self, output: Path, progress: Progress) -> None:
        """Write choice.json."""
        from calibration.default_recipe import recipe_for
        from calibration.onnx_graph import OnnxGraph

        recipe = recipe_for(OnnxGraph.load(self.float_model.path), self.usual, self.reads_wide)
        if recipe != self.usual:
            progress.say(
                f"recipe: {recipe.name}, since the network has grouped convolutions; {self.usual.name} "
                "would be quicker, recipe=auto tries others too"
            )
        (output / ChosenRecipe.file_name).write_text(json.dumps({"recipe": recipe.name}))
