"""Charts are well-formed SVG whose points lie where their values say."""

import math
import xml.etree.ElementTree as ET

from pipeline.report.lines import LineChart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: LineChart) -> list[list[tuple[float, float]]]:
    root = ET.fromstring(chart.svg())  # noqa: S314 - our own text
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.get("points", "").split())]
        for line in root.iter(f"{SVG}polyline")
    ]


def test_points_keep_their_order_and_proportion() -> None:
    ((a, b, c),) = drawn(LineChart("t", "x", "y", {"line": [(0, 0), (1, 5), (2, 10)]}))
    assert a[0] < b[0] < c[0]
    assert a[1] > b[1] > c[1]  # SVG counts from the top
    assert math.isclose(b[1] - a[1], c[1] - b[1], abs_tol=0.2)


def test_a_logarithmic_axis_spaces_factors_evenly() -> None:
    ((a, b, c),) = drawn(LineChart("t", "x", "y", {"line": [(0, 0.1), (1, 1), (2, 10)]}, log=True))
    assert math.isclose(b[1] - a[1], c[1] - b[1], abs_tol=0.2)


def test_what_is_not_finite_is_left_out_and_names_are_escaped() -> None:
    chart = LineChart("a < b", "x", "y", {"<&>": [(0, 1), (1, math.nan), (2, math.inf), (3, 2)], "none": []})
    lines = drawn(chart)
    assert [len(line) for line in lines] == [2, 0]


def test_an_empty_chart_can_be_drawn() -> None:
    assert drawn(LineChart("t", "x", "y", {})) == []
