from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy as kl_divergence

from calibration.grid import activation_grid
from calibration.histogram import BINS, Histogram, width_for
from calibration.observers import (
    Average,
    FromHistogram,
    MinMax,
    Observer,
    Range,
    entropy,
    least_squares,
    make_observer,
    percentile,
)
from calibration.recipe import ObserverName, QuantRecipe, Scheme

RECIPES = [QuantRecipe(scheme, observer) for scheme in Scheme for observer in ObserverName]


def _values(seed: int, images: int = 8, rectified: bool = True, spread: float = 1.0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    x = rng.laplace(0, spread, (images, 4, 9)) * rng.lognormal(0, 1, (images, 1, 1))
    return (np.maximum(x, 0) if rectified else x).astype(np.float32)


def _observed(recipe: QuantRecipe, values: NDArray[np.float32]) -> Observer:
    observer = make_observer(recipe.observer, recipe.scheme)
    observer.update(values)
    return observer


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
@given(seed=st.integers(0, 2**16), cuts=st.lists(st.integers(1, 7), max_size=3), rectified=st.booleans())
@settings(max_examples=15, deadline=None)
def test_shards_merged_in_any_order_are_the_whole(
    recipe: QuantRecipe, seed: int, cuts: list[int], rectified: bool
) -> None:
    values = _values(seed, rectified=rectified)
    shards = [_observed(recipe, part) for part in np.split(values, sorted(set(cuts)))]
    np.random.default_rng(seed).shuffle(shards)
    merged = make_observer(recipe.observer, recipe.scheme)
    for shard in shards:
        merged.merge(shard)
    assert merged.range() == _observed(recipe, values).range()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
@given(seed=st.integers(0, 2**16), power=st.integers(-20, 20))
@settings(max_examples=10, deadline=None)
def test_values_scaled_by_a_power_of_two_have_a_range_scaled_alike(
    recipe: QuantRecipe, seed: int, power: int
) -> None:
    values = _values(seed, rectified=False)
    one, scaled = (
        _observed(recipe, values).range(),
        _observed(recipe, values * np.float32(2.0**power)).range(),
    )
    assert scaled.low == pytest.approx(one.low * 2.0**power, rel=1e-6)
    assert scaled.high == pytest.approx(one.high * 2.0**power, rel=1e-6)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
@given(seed=st.integers(0, 2**16), rectified=st.booleans())
@settings(max_examples=10, deadline=None)
def test_no_range_goes_beyond_the_extremes_and_all_contain_zero(
    recipe: QuantRecipe, seed: int, rectified: bool
) -> None:
    """But for those that more images are expected to have, as test_image_extremes says."""
    values = np.repeat(_values(seed, rectified=rectified), 64, axis=0)
    found = _observed(recipe, values).range()
    assert min(0.0, values.min()) <= found.low <= 0 <= found.high <= max(0.0, values.max())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_only_mse_allows_for_images_that_were_not_seen(recipe: QuantRecipe) -> None:
    values = np.random.default_rng(0).gumbel(8, 1, (16, 2)).astype(np.float32)
    beyond = _observed(recipe, values).range().high > values.max()
    assert beyond == (recipe.observer is ObserverName.MSE)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_nothing_seen_or_nothing_but_zeros_is_an_empty_range(recipe: QuantRecipe) -> None:
    assert make_observer(recipe.observer, recipe.scheme).range() == Range(0, 0)
    assert _observed(recipe, np.zeros((3, 5), np.float32)).range() == Range(0, 0)


def test_min_max_only_grows() -> None:
    observer = MinMax()
    ranges = []
    for seed in range(5):
        observer.update(_values(seed, rectified=False))
        ranges.append(observer.range())
    assert all(a.low >= b.low and a.high <= b.high for a, b in pairwise(ranges))


def test_the_average_is_the_mean_of_the_images_extremes() -> None:
    values = _values(3, rectified=False)
    observer = Average()
    observer.update(values)
    per_image = values.reshape(len(values), -1).astype(np.float64)
    assert observer.range().low == pytest.approx(per_image.min(axis=1).mean(), rel=1e-12)
    assert observer.range().high == pytest.approx(per_image.max(axis=1).mean(), rel=1e-12)


@given(st.integers(0, 2**16), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_histogram_counts_what_numpy_counts(seed: int, rectified: bool) -> None:
    values = _values(seed, rectified=rectified)
    histogram = Histogram()
    for image in values:
        histogram.update(image[None])
    edges = (np.arange(2 * BINS + 1) - BINS) * histogram.width
    expected, _ = np.histogram(values[values != 0].astype(np.float64), edges)
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.zeros == (values == 0).sum()


@given(st.floats(1e-30, 1e30))
def test_the_width_is_the_smallest_power_of_two_that_holds_the_magnitude(magnitude: float) -> None:
    width = width_for(magnitude)
    assert np.frexp(width)[0] == 0.5
    assert magnitude < BINS * width
    assert magnitude >= BINS * width / 2


def test_a_large_tensor_is_sampled_and_its_extremes_are_not_missed() -> None:
    values = np.random.default_rng(0).normal(size=(1, 1 << 18)).astype(np.float32)
    values[0, 12345] = 1000
    histogram = Histogram()
    histogram.update(values)
    assert histogram.high == 1000
    assert histogram.counts.sum() <= 1 << 16


def test_the_percentile_is_numpys_to_a_bins_width() -> None:
    values = np.random.default_rng(0).normal(size=(4, 60_000)).astype(np.float32)
    observer = FromHistogram(percentile)
    observer.update(values)
    low, high = np.quantile(values, [1e-5, 1 - 1e-5], method="inverted_cdf")
    assert observer.range().low == pytest.approx(low, abs=2 * observer.histogram.width)
    assert observer.range().high == pytest.approx(high, abs=2 * observer.histogram.width)


def _slow_entropy_threshold(magnitudes: NDArray[np.float64], width: float, levels: int) -> float:
    """Written from the description, bin by bin, with scipy's divergence."""
    bins, _ = np.histogram(magnitudes, bins=2048, range=(0, 2048 * width))
    best, threshold = np.inf, 0
    for i in range(levels, 2049):
        p = bins[:i].astype(float)
        p[i - 1] += bins[i:].sum()
        q = np.zeros(i)
        for level in range(levels):
            members = [
                j for j in range(-(-level * i // levels), -(-(level + 1) * i // levels)) if bins[j] > 0
            ]
            for j in members:
                q[j] = sum(bins[m] for m in members) / len(members)
        divergence = np.inf if q.sum() == 0 else kl_divergence(p, q)
        if divergence < best * (1 - 1e-12):
            best, threshold = divergence, i
    return threshold * width


@pytest.mark.slow
@pytest.mark.parametrize("scheme", list(Scheme))
def test_entropy_agrees_with_a_slow_implementation(scheme: Scheme) -> None:
    values = np.abs(np.random.default_rng(1).standard_t(3, (2, 3000))).astype(np.float32)
    histogram = Histogram()
    histogram.update(values)
    width = histogram.width * max(1, int(np.ceil(histogram.high / (2048 * histogram.width))))
    slow = _slow_entropy_threshold(values.ravel().astype(float), width, 128 if scheme is Scheme.SYM else 256)
    assert entropy(histogram, scheme).high == pytest.approx(min(slow, histogram.high), rel=1e-9)


@pytest.mark.parametrize("scheme", list(Scheme))
@pytest.mark.parametrize("rectified", [True, False])
def test_least_squares_is_as_good_as_an_exhaustive_search_on_the_values(
    scheme: Scheme, rectified: bool
) -> None:
    values = _values(7, images=200, rectified=rectified)
    histogram = Histogram()
    histogram.update(values)

    def error(low: float, high: float) -> float:
        grid = activation_grid(low, high, scheme)
        return float(((grid.dequantize(grid.quantize(values)) - values) ** 2).mean())

    found = least_squares(histogram, scheme)
    shrinks = np.arange(0.02, 1.001, 0.02)
    lows = shrinks * histogram.low if histogram.low < 0 else [0.0]
    best = min(error(low, high) for low in lows for high in shrinks * histogram.high)
    assert error(found.low, found.high) <= best * 1.03
    assert error(found.low, found.high) <= error(histogram.low, histogram.high)
