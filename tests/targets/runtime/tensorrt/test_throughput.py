"""What follows from the moments at which calls ended."""

from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from targets.runtime.tensorrt.throughput import ThroughputPoint, knee, plot, summed_up, table


def test_images_a_second_are_counted_over_all_streams() -> None:
    steady = np.arange(1, 1001) / 100 - 0.005  # 100 calls a second for 10 seconds
    found = summed_up([steady, steady], 8, 10.0, graphs=True)
    assert (found.streams, found.batch, found.images_per_s) == (2, 8, 1600.0)
    assert found.half_width == pytest.approx(0.0)
    assert found.call_p50_ms == pytest.approx(10.0)


def test_a_call_that_ends_too_late_does_not_count() -> None:
    assert summed_up([np.array([0.5, 1.5, 2.5])], 1, 2.0, graphs=False).images_per_s == 1.0


def point(batch: int, streams: int, rate: float, graphs: bool = True) -> ThroughputPoint:
    return ThroughputPoint(batch, streams, graphs, rate, 1.0, 2.0)


POINTS = [
    point(1, 1, 400, graphs=False),
    point(1, 1, 500),
    point(1, 4, 700),
    point(8, 1, 905),
    point(8, 2, 910),
    point(32, 1, 1000),
]


def test_the_knee_is_the_smallest_batch_that_nearly_reaches_the_highest() -> None:
    assert knee(POINTS) == point(8, 1, 905)
    assert table(POINTS)[-1].startswith("knee: batch 8, 1 streams: the smallest that reaches 90%")


def test_the_plot_has_a_line_for_each_number_of_streams() -> None:
    drawn = fromstring(plot(POINTS))  # noqa: S314 - our own
    lines = list(drawn.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 1, 1]
    assert fromstring(plot(POINTS[:1])) is not None  # noqa: S314
