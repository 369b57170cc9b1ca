"""The report says what another recipe could bring at most."""

import pytest

from calibration.recipe import QuantRecipe
from pipeline.report.left_to_gain import left_to_gain
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from tests.pipeline.report import samples

QUICK = QuantRecipe.parse("w8a8_asym_mse_res_wmse_obq_bc")


@pytest.mark.parametrize(
    ("accuracy", "subject"), [(samples.accuracy(), "evaluation images"), (samples.pixel_accuracy(), "pixels")]
)
def test_it_is_what_has_another_class(accuracy: Accuracy | PixelAccuracy, subject: str) -> None:
    (check,) = left_to_gain(accuracy.replace(agreement=0.9938), QUICK)
    assert (check.name, check.outcome) == ("recipe", "noted")
    assert check.message == (
        f'99.38 % of the {subject} keep FP32\'s class: a slower recipe, or recipe = "auto", which compares '
        "several, could change at most the other 0.62 %"
    )


@pytest.mark.parametrize("agreement", [1.0, 0.99996])
def test_nothing_is_said_where_nothing_is_left(agreement: float) -> None:
    assert not list(left_to_gain(samples.accuracy().replace(agreement=agreement), QUICK))


def test_a_recipe_with_an_estimate_of_its_own_has_said_more() -> None:
    recipe = QuantRecipe.parse("w8a8_asym_mse_sens_res_wide_wmse_obq_bc")
    assert not list(left_to_gain(samples.accuracy(), recipe))
