import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.corrections import CORRECTIONS
from calibration.errors import RecipeError
from calibration.recipe import ObserverName, QuantRecipe, Scheme


@given(
    st.sampled_from(Scheme),
    st.sampled_from(ObserverName),
    st.frozensets(st.sampled_from([one.word for one in CORRECTIONS])),
)
def test_a_name_decodes_to_the_recipe_it_came_from(
    scheme: Scheme, observer: ObserverName, corrections: frozenset[str]
) -> None:
    kept: set[str] = set()
    for one in CORRECTIONS:
        apart = {other.word for other in CORRECTIONS if one.word in other.conflicts} | set(one.conflicts)
        if one.word in corrections and scheme not in one.pointless and not apart & kept:
            kept.add(one.word)
    recipe = QuantRecipe(scheme, observer, frozenset(kept))
    assert QuantRecipe.parse(recipe.name) == recipe


def test_the_order_of_corrections_does_not_matter() -> None:
    assert QuantRecipe.parse("w8a8_sym_bc_mse_obq") == QuantRecipe.parse("w8a8_sym_mse_obq_bc")


def test_default_parts_may_be_spelled_out() -> None:
    assert QuantRecipe.parse("w8a8_sym_minmax") == QuantRecipe.parse("w8a8_sym")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("w8a8_asim", "Did you mean 'w8a8_asym'"),
        ("w8a8_asymmse", "Did you mean 'w8a8_asym'"),
        ("w8a8_asym_minmix", "Did you mean 'minmax'"),
        ("w8a8_asym_mse_bd", "Did you mean 'bc'"),
        ("w8a8_asym_mse_kl", "more than one observer"),
        ("w8a8_asym_bc_bc", "a correction twice"),
        ("w8a8_asym_pix", "always takes pixels without loss"),
        ("w8a8_asym_ctr", "uses all 8 bits already"),
        ("w8a8_asym_nosat_ada", "cannot be combined: training moves one weight of a pair"),
        ("w8a8_asym_obq_nosat", "cannot be combined: nosat rounds by second order itself"),
        ("w8a8_sym_widest", "would be the network in FP16"),
        ("w8a8_asym_wide_widest", "cannot be combined: wide chooses some of the tensors"),
        ("", "It has to start with w8a8_sym, w8a8_asym"),
    ],
)
def test_an_unknown_part_is_named_with_what_is_allowed(name: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        QuantRecipe.parse(name)
