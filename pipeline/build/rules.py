"""Settings that cannot be combined: with a task, or with a quantised model that the user brings."""

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


def check_brought(config: BuildConfig) -> None:
    """Raise UsageError if the user's quantised model is missing, or combined with settings for our own."""
    settings = config.calibration
    if settings.quantized is None:
        return
    if not settings.quantized.is_file():
        raise UsageError(f"The quantised model {settings.quantized} is not a file. Give a Q/DQ ONNX.")
    unwanted = {
        "calibration.recipe": settings.recipe,
        "calibration.max_drop": settings.max_drop,
        "validation.sensitivity": config.validation.sensitivity,
    }
    asked = [name for name, value in unwanted.items() if value]
    if asked:
        raise UsageError(
            f"{settings.quantized} is compiled as it is, so {', '.join(asked)} cannot be used. Leave out"
            " either those or calibration.quantized (--quantized)."
        )
