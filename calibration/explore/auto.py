"""recipe=auto: tries recipes, from cheap to expensive, within a time budget, and keeps the closest one."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calibration.metrics import Closeness, closeness, logits
from calibration.prepare_float import Images
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme

LADDER: dict[Scheme, tuple[tuple[str, float], ...]] = {
    Scheme.ASYM: (
        ("w8a8_asym", 1),
        ("w8a8_asym_mse_bc", 4),
        ("w8a8_asym_mse_res_wmse_obq_bc", 5),
        ("w8a8_asym_mse_eq_wmse_obq_bc", 9),
        ("w8a8_asym_mse_sens_res_wide_wmse_obq_bc", 10),
        ("w8a8_asym_mse_eq_sens_wmse_obq_bc", 12),
        ("w8a8_asym_kl_bc", 4),
        ("w8a8_asym_pct_wmse_obq_bc", 5),
        ("w8a8_asym_mse_eq_wmse_obq_bc_ada", 50),
    ),
    Scheme.SYM: (
        ("w8a8_sym", 1),
        ("w8a8_sym_mse_bc", 4),
        ("w8a8_sym_mse_wmse_obq_bc", 5),
        ("w8a8_sym_mse_eq_wmse_obq_bc", 9),
        ("w8a8_sym_mse_eq_ctr_pix_wmse_obq_bc", 10),
        ("w8a8_sym_mse_eq_pix_wmse_obq_bc", 9),
        ("w8a8_sym_mse_eq_pix_sens_wmse_obq_bc", 12),
        ("w8a8_sym_mse_eq_pix_sens_wide_wmse_obq_bc", 14),
        ("w8a8_sym_kl_bc", 4),
        ("w8a8_sym_pct_wmse_obq_bc", 5),
        ("w8a8_sym_mse_eq_ctr_pix_wmse_obq_bc_ada", 51),
    ),
}
"""Recipes in the order tried, each with its rough time, as a multiple of the first one's on ResNet-20."""


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried: its closeness to the float model on held-out images, and its time in s."""

    recipe: QuantRecipe
    closeness: Closeness
    seconds: float


@dataclass(frozen=True)
class Choice:
    """The recipe of highest SQNR, all that were tried, and those for which the budget was too small."""

    recipe: QuantRecipe
    trials: tuple[Trial, ...]
    skipped: tuple[QuantRecipe, ...]


def pick_recipe(
    model: Path,
    scheme: Scheme,
    calibration: Images,
    held_out: Images,
    budget_s: float,
    folder: Path,
    clock: Callable[[], float] = time.monotonic,
) -> Choice:
    """Try each recipe of the scheme's LADDER that fits the budget; choose by SQNR on `held_out`.

    The first recipe is always tried; its time predicts the others'. `held_out` are images of the calibration
    set that `calibration` leaves out, never evaluation images. Raises the errors of `produce`.
    """
    start = clock()
    reference = logits(model, held_out())
    trials: list[Trial] = []
    skipped: list[QuantRecipe] = []
    for name, cost in LADDER[scheme]:
        recipe, before = QuantRecipe.parse(name), clock()
        if trials and before - start + cost * trials[0].seconds > budget_s:
            skipped.append(recipe)
            continue
        made = produce(model, calibration, recipe, folder)
        found = closeness(reference, logits(made.quantized, held_out()))
        trials.append(Trial(recipe, found, clock() - before))
    best = max(trials, key=lambda trial: trial.closeness.sqnr_db)
    return Choice(best.recipe, tuple(trials), tuple(skipped))
