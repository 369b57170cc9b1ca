"""What a build cannot do with a quantised model that the user brings."""

from pipeline.config import BuildConfig
from pipeline.errors import UsageError


def check_brought(config: BuildConfig) -> None:
    """Raise UsageError if a quantised model is brought and missing, or asked for what only ours can have."""
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
            f"{settings.quantized} is compiled as it is, so {', '.join(asked)} cannot be done. Leave out"
            " either that or calibration.quantized (--quantized)."
        )
