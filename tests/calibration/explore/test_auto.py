from collections.abc import Iterator
from pathlib import Path

import pytest

from calibration.explore.auto import LADDER, pick_recipe
from calibration.metrics import closeness, logits
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures

IMAGES = pictures(32, (16, 16, 3))
HELD_OUT = pictures(32, (16, 16, 3), seed=1)


def _seconds(step: float) -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += step


@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_rung_decodes_for_its_scheme_and_the_first_is_the_cheapest(scheme: Scheme) -> None:
    recipes = [QuantRecipe.parse(name) for name, _ in LADDER[scheme]]
    assert all(recipe.scheme is scheme for recipe in recipes)
    assert min(cost for _, cost in LADDER[scheme]) == LADDER[scheme][0][1]


def test_the_best_of_all_tried_wins(rgb_model: Path, tmp_path: Path) -> None:
    choice = pick_recipe(rgb_model, Scheme.SYM, lambda: [IMAGES], lambda: [HELD_OUT], 1e9, tmp_path)
    assert len(choice.trials) == len(LADDER[Scheme.SYM])
    assert not choice.skipped
    best = max(choice.trials, key=lambda t: t.closeness.sqnr_db)
    assert choice.recipe == best.recipe
    made = produce(rgb_model, lambda: [IMAGES], choice.recipe, tmp_path)
    assert closeness(logits(rgb_model, [HELD_OUT]), logits(made.quantized, [HELD_OUT])) == best.closeness


def test_a_budget_is_kept_by_leaving_recipes_out(rgb_model: Path, tmp_path: Path) -> None:
    clock = _seconds(10)
    choice = pick_recipe(
        rgb_model, Scheme.ASYM, lambda: [IMAGES], lambda: [HELD_OUT], 70, tmp_path, lambda: next(clock)
    )
    assert [t.recipe.name for t in choice.trials] == ["w8a8_asym", "w8a8_asym_mse_bc"]
    assert [r.name for r in choice.skipped] == [name for name, _ in LADDER[Scheme.ASYM][2:]]


def test_with_no_budget_the_first_recipe_is_still_tried(rgb_model: Path, tmp_path: Path) -> None:
    choice = pick_recipe(rgb_model, Scheme.ASYM, lambda: [IMAGES], lambda: [HELD_OUT], 0, tmp_path)
    assert [t.recipe.name for t in choice.trials] == ["w8a8_asym"]
