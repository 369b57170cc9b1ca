"""Statistics of changes by several votes an image, against other implementations and known properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from pipeline.report.stats import holm, mcnemar_exact, mean_interval, sign_flip_exact


@settings(max_examples=25)  # statsmodels takes its time
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_equals_statsmodels(p_values: list[float]) -> None:
    assert np.allclose(holm(p_values), multipletests(p_values, method="holm")[1], rtol=0, atol=1e-12)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_sign_flip_test_of_single_changes_is_mcnemars(worse: int, better: int, same: int) -> None:
    changes = np.repeat([1, -1, 0], [worse, better, same])
    assert sign_flip_exact(changes) == pytest.approx(mcnemar_exact(worse, better), abs=1e-12)


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=9))
def test_the_sign_flip_test_equals_scipys_over_all_sign_patterns(changes: list[int]) -> None:
    values = np.array(changes)
    theirs = permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=10_000, alternative="two-sided"
    )
    assert sign_flip_exact(values) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_the_sign_flip_test_raises_false_alarms_no_more_often_than_stated() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(
        sign_flip_exact(rng.choice([-2, -1, 0, 1, 2], 60, p=[0.02, 0.08, 0.8, 0.08, 0.02])) < 0.05
        for _ in range(1500)
    )
    assert alarms / 1500 <= 0.05 + 3 * (0.05 * 0.95 / 1500) ** 0.5


def test_the_interval_is_statsmodels_with_one_more_change_each_way() -> None:
    changes = np.random.default_rng(1).choice([-2, -1, 0, 1], 400, p=[0.01, 0.05, 0.8, 0.14])
    theirs = DescrStatsW(np.append(changes, [1, -1]), ddof=0).zconfint_mean()
    # statsmodels divides the variance by n - 1, Bonett & Price by n
    found = mean_interval(changes.astype(np.float64))
    assert (found.low, found.high) == pytest.approx(theirs, rel=2e-2)


def test_no_change_at_all_still_has_a_width() -> None:
    interval = mean_interval(np.zeros(500))
    assert interval.high is not None
    assert -interval.low == interval.high > 1 / 500  # the rule of three would say 3/500


@pytest.mark.parametrize(
    "shares", [(0, 0.005, 0.99, 0.005, 0), (0.005, 0.02, 0.94, 0.03, 0.005), (0.0, 0.01, 0.92, 0.05, 0.02)]
)
def test_the_interval_covers_the_truth_as_often_as_it_says(shares: tuple[float, ...]) -> None:
    values = np.array([-2.0, -1, 0, 1, 2])
    truth = float(values @ np.array(shares))
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(3000):
        interval = mean_interval(rng.choice(values, 500, p=shares))
        assert interval.high is not None
        covered += interval.low <= truth <= interval.high
    assert covered / 3000 >= 0.94


@pytest.mark.parametrize("images", [100, 500, 2500])
@pytest.mark.parametrize(("fragile", "lean"), [(0.05, 0.5), (0.05, 0.7), (0.2, 0.7)])
def test_means_of_changes_that_hang_together_are_covered_too(
    images: int, fragile: float, lean: float
) -> None:
    """A few images change, most of them in one direction under many corruptions. Very few change when clean:
    such a change counts for all 27 corruptions."""
    rng = np.random.default_rng(3)

    def means() -> NDArray[np.float64]:
        way = np.where(rng.random((images, 1)) < lean, 1, -1) * np.where(
            rng.random((images, 27)) < 0.8, 1, -1
        )
        changed = (rng.random((images, 27)) < 0.15) & (rng.random((images, 1)) < fragile)
        clean = rng.choice([-1, 0, 1], (images, 1), p=[0.001, 0.997, 0.002])
        found: NDArray[np.float64] = (way * changed - clean).mean(axis=1)
        return found

    truth = 0.15 * fragile * (2 * lean - 1) * (2 * 0.8 - 1) - 0.001
    covered = 0
    for _ in range(500):
        interval = mean_interval(means())
        assert interval.high is not None
        covered += interval.low <= truth <= interval.high
    assert covered / 500 >= 0.93
