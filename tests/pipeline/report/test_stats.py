import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, bootstrap
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from benchmarks.gate_coverage import GRID, coverage
from pipeline.report.stats import (
    bootstrap_interval,
    difference_interval,
    images_to_decide,
    mcnemar_exact,
    ratio_interval,
    ratio_score,
    wilson_interval,
)
from targets.runtime.paired_difference import difference_score, normal_quantile

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 300), st.integers(0, 300)).filter(
    lambda t: sum(t) > 0
)


@pytest.mark.parametrize(
    ("worse", "better", "images", "low", "high"),
    [
        (1, 7, 21, -0.517, -0.026),  # Bentur 2009 in Fagerland, Lydersen & Laake 2017, table 8.7
        (0, 1, 44, -0.118, 0.059),  # contact lenses, Tango 1998, section 4
    ],
)
def test_difference_interval_equals_published_tables(
    worse: int, better: int, images: int, low: float, high: float
) -> None:
    interval = difference_interval(worse, better, images)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=6e-4)


def test_ratio_interval_equals_a_published_table() -> None:
    interval = ratio_interval(worse=7, better=1, both=1, images=21)  # Bentur 2009, table 8.8
    assert (interval.low, interval.high) == pytest.approx((0.065, 0.907), abs=6e-4)


def numerical_score(worse: int, better: int, images: int, drop: float) -> float:
    """Tango's statistic with the nuisance parameter found by an optimiser instead of its closed form."""

    def unlikely(q: float) -> float:
        cells = ((worse, q + drop), (better, q), (images - worse - better, 1 - 2 * q - drop))
        return -sum(n * math.log(p) for n, p in cells if n)

    bounds = max(0.0, -drop) + 1e-12, (1 - drop) / 2 - 1e-12
    q = minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (worse - better - images * drop) / math.sqrt(images * (2 * q + drop * (1 - drop)))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2000), st.floats(-0.4, 0.4))
def test_difference_score_is_at_the_constrained_maximum_likelihood(
    worse: int, better: int, others: int, drop: float
) -> None:
    images = worse + better + others
    expected = numerical_score(worse, better, images, drop)
    assert difference_score(worse, better, images, drop) == pytest.approx(expected, rel=1e-3, abs=1e-3)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 5000))
def test_zero_lies_in_the_interval_exactly_when_mcnemar_does_not_reject(
    worse: int, better: int, others: int
) -> None:
    interval = difference_interval(worse, better, worse + better + others)
    assert interval.high is not None
    if worse + better:
        p = mcnemar([[others, worse], [better, 0]], exact=False, correction=False).pvalue
        if abs(p - 0.05) > 1e-9:
            assert (interval.low <= 0 <= interval.high) == (p > 0.05)
    else:
        assert interval.low < 0 < interval.high


@given(counts)
def test_exact_mcnemar_equals_statsmodels_and_scipy(table: tuple[int, int, int, int]) -> None:
    worse, better, both, neither = table
    p = mcnemar_exact(worse, better)
    assert p == pytest.approx(mcnemar([[both, worse], [better, neither]], exact=True).pvalue, rel=1e-9)
    if worse + better:
        assert p == pytest.approx(binomtest(worse, worse + better).pvalue, rel=1e-9)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_interval_equals_statsmodels(successes: int, failures: int) -> None:
    if successes + failures:
        low, high = proportion_confint(successes, successes + failures, method="wilson")
        interval = wilson_interval(successes, successes + failures)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


def test_bootstrap_interval_equals_scipys_bootstrap_of_the_images() -> None:
    images = np.repeat([1, -1, 0], [40, 25, 935])  # each image's contribution to the drop
    expected = bootstrap(
        (images,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(5)
    ).confidence_interval
    found = bootstrap_interval(40, 25, 1000)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.0015)
    score = difference_interval(40, 25, 1000)
    assert (score.low, score.high) == pytest.approx((found.low, found.high), abs=0.0015)


def test_the_bootstrap_collapses_without_discordant_images_but_the_score_interval_does_not() -> None:
    collapsed, honest = bootstrap_interval(0, 0, 500), difference_interval(0, 0, 500)
    assert collapsed.low == collapsed.high == 0
    assert honest.high == pytest.approx(normal_quantile(0.95) ** 2 / (500 + normal_quantile(0.95) ** 2))


@given(counts)
def test_intervals_contain_the_estimate_and_mirror_when_the_networks_swap(
    table: tuple[int, int, int, int],
) -> None:
    worse, better, both, _ = table
    images = sum(table)
    forth, back = difference_interval(worse, better, images), difference_interval(better, worse, images)
    assert forth.high is not None
    assert forth.low - 1e-9 <= (worse - better) / images <= forth.high + 1e-9
    assert (forth.low, forth.high) == pytest.approx((-(back.high or 0), -back.low), abs=1e-9)
    if both:
        ratio = ratio_interval(worse, better, both, images)
        swapped = ratio_interval(better, worse, both, images)
        assert ratio.high is not None
        assert ratio.low - 1e-9 <= (both + better) / (both + worse) <= ratio.high + 1e-9
        assert ratio.low * (swapped.high or 0) == pytest.approx(1, rel=1e-3)


@given(counts)
def test_at_ratio_one_both_scores_are_mcnemars(table: tuple[int, int, int, int]) -> None:
    worse, better, both, _ = table
    if worse + better:
        expected = (better - worse) / math.sqrt(worse + better)
        assert ratio_score(worse, better, both, sum(table), 1.0) == pytest.approx(expected)
        assert difference_score(worse, better, sum(table), 0.0) == pytest.approx(-expected)


@pytest.mark.parametrize(("images", "worse", "better"), [row for row in GRID if row[0] < 10_000])
def test_exact_coverage_of_the_interval_is_what_it_says(images: int, worse: float, better: float) -> None:
    covered, wholly_below, _ = coverage(images, worse, better)
    assert covered >= 0.93
    assert wholly_below <= 0.03  # the gate passes a network whose drop is at the limit this often


def test_images_to_decide_gives_the_power_it_promises() -> None:
    worse, better, limit = 0.020, 0.013, 0.01  # a true drop of 0.7 points against a limit of 1

    def score(factor: float) -> float:
        return difference_score(200 * worse * factor, 200 * better * factor, 200 * factor, limit)

    images = images_to_decide(score, 200)
    assert images is not None
    rng = np.random.default_rng(0)
    tables = rng.multinomial(images, [worse, better, 1 - worse - better], size=4000)
    z = normal_quantile(0.95)
    decided = np.mean([abs(difference_score(b, c, images, limit)) > z for b, c, _ in tables])
    assert decided == pytest.approx(0.80, abs=0.03)


def test_no_number_of_images_decides_when_the_drop_equals_the_limit() -> None:
    assert images_to_decide(lambda f: difference_score(20 * f, 10 * f, 1000 * f, 0.01), 1000) is None
