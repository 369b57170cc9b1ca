"""What a build cannot do with a quantised model that the user brings."""

from pathlib import Path

from pipeline.config import BuildConfig
from pipeline.errors import UsageError


def check_brought(config: BuildConfig, model: Path | None) -> None:
    """Raise UsageError if a quantised model is brought and missing, or asked for what only ours can have.

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
        instead = "Leave that out, or give edgec the float network."
        if settings.quantized is not None:
            instead = "Leave out either that or calibration.quantized (--quantized)."
        raise UsageError(f"{brought} is compiled as it is, so {', '.join(asked)} cannot be done. {instead}")
