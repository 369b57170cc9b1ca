"""Extremes of more images, against scipy's Gumbel distribution and numbers drawn from it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import gumbel_r

from calibration.histogram import image_ends
from calibration.image_extremes import ENOUGH, ImageExtremes


def _seen(values: NDArray[np.float32]) -> ImageExtremes:
    extremes = ImageExtremes()
    extremes.update(image_ends(values))
    return extremes


def _images(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Two values an image: its largest follows Gumbel's distribution, its smallest too."""
    rng = np.random.default_rng(seed)
    high, low = (gumbel_r.rvs(10, 1.5, size=count, random_state=rng) for _ in range(2))
    return np.stack([high, -low / 2], axis=1).astype(np.float32)


@pytest.mark.parametrize("count", [16, 64, 256])
def test_a_stretched_range_ends_where_many_images_do(count: int) -> None:
    """On average over draws; ranges that end at the extremes seen are too short."""
    wanted = float(np.mean([_images(ENOUGH, seed).max() for seed in range(300)]))
    draws = [_images(count, seed) for seed in range(1000, 1300)]
    stretched = [_seen(one).stretched(float(one.min()), float(one.max())) for one in draws]
    assert np.mean([high for _, high in stretched]) == pytest.approx(wanted, rel=0.02)
    assert np.mean([low for low, _ in stretched]) == pytest.approx(-wanted / 2, rel=0.02)
    assert np.mean([one.max() for one in draws]) < wanted - 1.5 * np.log(ENOUGH / count) / 2


@pytest.mark.parametrize("count", [1, ENOUGH, 2 * ENOUGH])
def test_one_image_or_enough_of_them_leave_a_range_as_it_is(count: int) -> None:
    assert _seen(_images(count)).stretched(-3.0, 7.0) == (-3.0, 7.0)


def test_images_that_are_alike_leave_it_too() -> None:
    """Such as those of a tensor behind an upper bound that all reach."""
    assert _seen(np.full((16, 4), 6, np.float32)).stretched(0.0, 6.0) == (0.0, 6.0)


def test_an_end_that_was_cut_moves_less() -> None:
    seen, farthest = _seen(_images(32)), float(_images(32).max())
    whole, half = (seen.stretched(0.0, end)[1] / end - 1 for end in (farthest, farthest / 2))
    assert half == pytest.approx(whole / 2)


@given(seed=st.integers(0, 2**16), cut=st.integers(0, 24))
@settings(max_examples=20, deadline=None)
def test_parts_merged_in_either_order_are_the_whole(seed: int, cut: int) -> None:
    images = _images(24, seed)
    parts = [_seen(images[:cut]), _seen(images[cut:])]
    for first, second in (parts, parts[::-1]):
        merged = ImageExtremes()
        merged.merge(first)
        merged.merge(second)
        assert merged == _seen(images)


def test_a_file_gives_them_back_exactly() -> None:
    seen = _seen(_images(24))
    assert ImageExtremes.read(json.loads(json.dumps(seen.written()))) == seen
