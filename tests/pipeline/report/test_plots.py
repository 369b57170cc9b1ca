import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.from_measurement import latency_of
from pipeline.report.model.certainty import Interval
from pipeline.report.plots import Axis, axis_around, latency_plot, span
from targets.base import Origin
from tests.pipeline.report.samples import measurement


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_on_the_axis(low: float, length: float) -> None:
    axis = Axis(low, low + length)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 6
    slack = 1e-9 * length  # an end of the axis that is a round number has a tick, whatever its last bits
    assert all(axis.low - slack <= t <= axis.high + slack for t in ticks)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_an_axis_shows_all_its_values(values: list[float]) -> None:
    axis = axis_around(values)
    assert axis.low < min(values) <= max(values) < axis.high or math.isclose(max(values), axis.high)


def test_positions_are_percent_and_stay_inside() -> None:
    axis = Axis(2.0, 4.0)
    assert [axis.at(v) for v in (1, 2, 3, 4, 9)] == [0, 0, 50, 100, 100]


def test_an_open_interval_reaches_the_end_of_the_axis() -> None:
    found = span(Axis(0, 10), 4.0, Interval(low=3.0, high=None))
    assert (found.left, found.width, found.value, found.open_above) == (30, 70, 40, True)


@pytest.mark.parametrize("runs", [1, 2, 100, 5000])
def test_every_run_is_in_the_histogram_or_counted_beyond_it(runs: int) -> None:
    latency = latency_of(measurement(milliseconds=2.0, runs=runs), Origin.HOST, 1)
    plot = latency_plot(latency.runs_ns)
    tallest = max(bar.height for bar in plot.bars)
    assert tallest == 100
    inside = sum(1 for ns in latency.runs_ns if ns / 1e6 <= plot.axis.high)
    assert inside + plot.beyond == runs
    assert all(0 <= bar.x <= 100 and bar.y + bar.height == pytest.approx(100, abs=0.02) for bar in plot.bars)
    assert len(plot.slices) == min(runs, 120)
