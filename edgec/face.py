"""What a program does with edgec: build, and quantise alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.build.plan import Build
from pipeline.build.publish import publish
from pipeline.config import BuildConfig, load_config
from pipeline.extras import naming_missing_extras
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report


def build(config: BuildConfig | Path | str | None = None, **options: object) -> Report:
    """Build, validate and bundle a model for a target, as `edgec build` does, and return the report.

    config is a BuildConfig, or the path of a TOML file. options have the keys of that file and take
    precedence; those of a table are given as a dict: `validation={"max_drop": 0.5}`. Files are written below
    `out`, by default ./out; stages whose inputs did not change come out of its store.

    Raises `pipeline.errors.PipelineError`, `targets.errors.TargetError` or
    `calibration.errors.CalibrationError` for what the caller can put right. A gate that fails raises nothing:
    look at `verdict` and `gates` of the report.
    """
    if isinstance(config, BuildConfig):
        chosen = BuildConfig.model_validate({**config.model_dump(exclude_unset=True), **options})
    else:
        chosen = load_config(BuildConfig, Path(config) if config is not None else None, options)
    with naming_missing_extras():
        one = Build(chosen, Silent())
        publish(one)
        return one.report.load()


def quantize(
    model: Path | str, images: Sequence[NDArray[np.uint8]], recipe: QuantRecipe | str, folder: Path | str
) -> Path:
    """Quantise a float ONNX that takes pixels, and return the path of the Q/DQ ONNX.

    model is an ONNX as `edgec export` writes it; images are batches of uint8 [N, H, W, C], which are gone
    through several times; recipe is one of `edgec recipes`. `ranges.json` and `model.int8.onnx` are written
    into the folder, which is created. Raises `calibration.errors.CalibrationError`, and
    `pipeline.errors.PipelineError` for a recipe that needs a package which is not installed.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    chosen = QuantRecipe.parse(recipe) if isinstance(recipe, str) else recipe
    with naming_missing_extras():
        return produce(Path(model), lambda: iter(images), chosen, place).quantized
