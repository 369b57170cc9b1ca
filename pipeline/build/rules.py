"""Settings that cannot be combined: with a task, or with a quantised model that the user brings."""

from pathlib import Path

from pipeline.config import BuildConfig
from pipeline.errors import UsageError
from pipeline.task import Task


def check_task(task: Task, config: BuildConfig) -> None:
    """Raise UsageError naming a setting that has no meaning for this task."""
    if task is Task.CLASSIFY:
        return
    unwanted = {
        "calibration.max_drop": config.calibration.max_drop,
        "calibration.quantized": config.calibration.quantized,
        "validation.min_ratio": config.validation.min_ratio,
        "validation.min_top1": config.validation.min_top1,
        "validation.robustness": config.validation.robustness,
    }
    for name, value in unwanted.items():
        if value:
            raise UsageError(
                f"{name} counts images that are classified correctly; {config.model} classifies each pixel."
                " Leave it out: validation.max_drop is the limit for segmentation."
            )


def check_brought(config: BuildConfig, model: Path | None) -> None:
    """Raise UsageError if the user's quantised model is missing, or combined with settings for our own.

    `model`: the file of the model itself, if that is quantised.
    """
    settings = config.calibration
    if settings.quantized is not None and not settings.quantized.is_file():
        raise UsageError(f"The quantised model {settings.quantized} is not a file. Give a Q/DQ ONNX.")
    if settings.quantized is not None and model is not None:
        raise UsageError(
            f"{model} is quantised already, so there is nothing that {settings.quantized} could be compared"
            " with. Leave one of them out, or give the float network as the model."
        )
    brought = settings.quantized or model
    if brought is None:
        return
    unwanted = {
        "calibration.recipe": settings.recipe,
        "calibration.max_drop": settings.max_drop,
        "validation.sensitivity": config.validation.sensitivity,
    }
    asked = [name for name, value in unwanted.items() if value]
    if asked:
        instead = "Leave those out, or give edgec the float network."
        if settings.quantized is not None:
            instead = "Leave out either those or calibration.quantized (--quantized)."
        raise UsageError(f"{brought} is compiled as it is, so {', '.join(asked)} cannot be used. {instead}")
