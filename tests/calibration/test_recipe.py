import pytest

from calibration.errors import RecipeError
from calibration.recipe import ObserverName, QuantRecipe, Scheme


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("observer", list(ObserverName))
def test_a_name_decodes_to_the_recipe_it_came_from(scheme: Scheme, observer: ObserverName) -> None:
    recipe = QuantRecipe(scheme, observer)
    assert QuantRecipe.parse(recipe.name) == recipe


def test_default_parts_may_be_spelled_out() -> None:
    assert QuantRecipe.parse("w8a8_sym_minmax") == QuantRecipe.parse("w8a8_sym")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("w8a8_asim", "Did you mean 'w8a8_asym'"),
        ("w8a8_asymmse", "Did you mean 'w8a8_asym'"),
        ("w8a8_asym_minmix", "Did you mean 'minmax'"),
        ("", "It has to start with w8a8_sym, w8a8_asym"),
    ],
)
def test_an_unknown_part_is_named_with_what_is_allowed(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        QuantRecipe.parse(name)
