"""Says what another recipe could bring at most: the images, or pixels, that INT8 gives another class."""

from collections.abc import Iterator
from typing import assert_never

from calibration.recipe import QuantRecipe
from pipeline.report import figures
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.model.toolchain_check import ToolchainCheck


def left_to_gain(accuracy: Accuracy | PixelAccuracy, recipe: QuantRecipe) -> Iterator[ToolchainCheck]:
    """Yield a note for a recipe that has no estimate of its own, as `wide` has."""
    kept, rest = figures.percent(accuracy.agreement), figures.percent(1 - accuracy.agreement)
    if "wide" in recipe.corrections or rest == figures.percent(0):
        return
    match accuracy:
        case Accuracy():
            subject = "evaluation images"
        case PixelAccuracy():
            subject = "pixels"
        case _:
            assert_never(accuracy)
    message = (
        f'{kept} of the {subject} keep FP32\'s class: a slower recipe, or recipe = "auto", which compares '
        f"several, could change at most the other {rest}"
    )
    yield ToolchainCheck(name="recipe", outcome="noted", message=message)
