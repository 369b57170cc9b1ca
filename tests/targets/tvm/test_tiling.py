"""Tiles along a side of a map cover it, and points know which tiles have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.tvm.kernels.minimal_filter import FOUR, TWO, MinimalFilter, TileFilter
from targets.tvm.kernels.tiling import TileLine, Tiling

SIZES = st.integers(1, 100)
FILTERS = st.sampled_from((TWO, FOUR))


@given(FILTERS, SIZES, st.booleans())
def test_tiles_cover_all_results_and_begin_inside(one: MinimalFilter, size: int, shorter: bool) -> None:
    line = TileLine.cover(one, size, shorter)
    ends = [run.first * one.outputs + run.count * run.filter.outputs for run in line.runs()]
    assert max(ends) >= size > (line.tiles - 1) * one.outputs
    assert sum(run.count for run in line.runs()) == line.tiles


@given(FILTERS, SIZES, st.booleans())
def test_each_point_has_the_tiles_whose_filter_has_it(one: MinimalFilter, size: int, shorter: bool) -> None:
    line = TileLine.cover(one, size, shorter)
    counted = [
        sum(run.count for run in line.runs() if point < run.filter.points) for point in range(one.points)
    ]
    assert [line.with_point(point) for point in range(one.points)] == counted
    assert line.points == sum(counted)
    runs = {run.first + n: run.tiles for run in line.point_runs() for n in range(run.count)}
    assert {point: tiles for point, tiles in enumerate(counted) if tiles} == runs


@pytest.mark.parametrize(("side", "points"), [(14, 484), (7, 121), (28, 1764), (9, 256), (2, 16)])
def test_a_map_of_results_takes_few_points(side: int, points: int) -> None:
    """14 x 14 in four times four whole tiles would take 576, 7 x 7 in four 144."""
    assert Tiling.cover(TileFilter(FOUR, FOUR), side, side, shorter=True).points == points
