"""A Q/DQ graph that edgec made -> model.int8.onnx, checked."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from calibration.recipe import Scheme
from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.stages.artifacts import BroughtModel
from pipeline.stages.observe_part import TOOLS

BROUGHT = "brought.json"
"""Which recipe a quantised model was made by."""


@dataclass(frozen=True)
class Bring(Stage):
    """Take a quantised model of edgec's own as it is, such as from `edgec train --qat`.

    Layers that are not in 8 bits stay in float; the report's coverage names them.
    """

    name: ClassVar[str] = "bring"
    tools: ClassVar[tuple[str, ...]] = TOOLS

    quantized: InputFile
    scheme: Scheme
    image_shape: tuple[int, int, int]
    classes: int

    def run(self, output: Path, progress: Progress) -> None:
        """Write model.int8.onnx and brought.json. Raises the errors of `check_brought`."""
        from calibration.foreign_qdq import check_brought

        with progress.task("check the quantised model", None):
            recipe = check_brought(self.quantized.path, self.scheme, self.image_shape, self.classes)
        written = output / BroughtModel.file_name
        if self.quantized.parts:
            import onnx

            onnx.save(onnx.load(self.quantized.path), written)  # as one file
        else:
            shutil.copyfile(self.quantized.path, written)
        (output / BroughtModel.recipe_file).write_text(json.dumps({"recipe": recipe.name}))
