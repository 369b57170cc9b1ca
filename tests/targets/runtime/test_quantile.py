from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, quantile_test

from targets.runtime.quantile import effective_size, quantile


@given(st.integers(1, 3000), st.sampled_from([0.5, 0.9, 0.99]), st.integers(0, 99))
def test_ranks_are_the_binomials(n: int, probability: float, seed: int) -> None:
    runs = np.random.default_rng(seed).permutation(n) + 1  # the value is the rank; independent order
    found = quantile(runs, probability)
    m = max(1, int(found.effective_size))
    low, high = (float(binom.ppf(tail, m, probability)) for tail in (0.025, 0.975))
    assert found.low == pytest.approx(np.floor(low * n / m), abs=1)
    if (high + 1) / m <= 1:
        assert found.high == pytest.approx(np.ceil((high + 1) * n / m), abs=1)
    else:
        assert found.high is None


def test_independent_runs_give_scipys_interval() -> None:
    runs = np.random.default_rng(4).permutation(501) + 1
    assert effective_size(runs <= np.quantile(runs, 0.5)) > 480
    expected: Any = quantile_test(runs, p=0.5).confidence_interval(confidence_level=0.95)  # stubs say float
    found = quantile(runs, 0.5)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=3)


def test_few_observations_do_not_bound_a_high_quantile() -> None:
    runs = np.random.default_rng(0).permutation(300)
    assert quantile(runs, 0.99).high is None
    assert quantile(runs, 0.90).high is not None
    single = quantile(np.array([7]), 0.5)
    assert (single.value, single.low, single.high) == (7.0, 0.0, None)


def autocorrelated(n: int, rho: float, rng: np.random.Generator) -> NDArray[np.float64]:
    steps = rng.standard_normal(n) * np.sqrt(1 - rho**2)
    values = np.empty(n)
    values[0] = rng.standard_normal()
    for i in range(1, n):
        values[i] = rho * values[i - 1] + steps[i]
    return values


def test_effective_size_of_a_known_process() -> None:
    # Signs of a Gaussian AR(1) have autocorrelation 2/pi * asin(rho^k): sum it for the exact answer.
    rho, n = 0.8, 50_000
    lags = np.arange(1, 200)
    exact = n / (1 + 2 * (2 / np.pi * np.arcsin(rho**lags)).sum())
    marks = autocorrelated(n, rho, np.random.default_rng(1)) <= 0
    assert effective_size(marks) == pytest.approx(exact, rel=0.1)


def test_effective_size_never_exceeds_the_runs_and_constant_marks_count_fully() -> None:
    alternating = np.arange(100) % 2 == 0
    assert effective_size(alternating) == 100
    assert effective_size(np.ones(100, bool)) == 100


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "least"), [(0.0, 0.93), (0.5, 0.93), (0.9, 0.90)])
def test_coverage_of_the_median_by_simulation(rho: float, least: float) -> None:
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(400):
        runs = (1e6 * np.exp(0.1 * autocorrelated(800, rho, rng))).astype(np.int64)
        found = quantile(runs, 0.5)
        covered += found.low <= 1e6 <= (found.high or np.inf)
    assert covered / 400 >= least
