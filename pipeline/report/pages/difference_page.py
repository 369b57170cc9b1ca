"""Why two forms of a network differ, as one page."""

from dataclasses import dataclass

import numpy as np

from pipeline.report import plots
from pipeline.report.model.difference_report import DifferenceReport, TensorHistogram
from pipeline.report.pages.template import render_page

SHOWN_DB = 80.0
"""Agreements above this are drawn at the edge: they are rounding of floats."""


@dataclass(frozen=True)
class DepthPoint:
    """A tensor in the drawing of agreement by depth: percent from the left and from the top."""

    x: float
    so_far: float
    here: float
    is_fault: bool
    tensor: str


@dataclass(frozen=True)
class HistogramRow:
    """A histogram of both networks, drawn: bars of A from the top, of B from below, and B's range."""

    of: TensorHistogram
    a: list[plots.Bar]
    b: list[plots.Bar]
    limits: list[float]


def _histogram(one: TensorHistogram) -> HistogramRow:
    axis, most = plots.Axis(one.low, one.high), max(1.0, *np.sqrt([*one.a, *one.b]))
    width = 100 / len(one.a)

    def bars(counts: tuple[int, ...]) -> list[plots.Bar]:
        heights = 100 * np.sqrt(counts) / most
        return [
            plots.Bar(round(width * at, 3), round(width, 3), round(100 - height, 2), round(height, 2))
            for at, height in enumerate(heights.tolist())
        ]

    inside = (
        [] if one.limits is None else [axis.at(limit) for limit in one.limits if one.low < limit < one.high]
    )
    return HistogramRow(one, bars(one.a), bars(one.b), inside)


def difference_html(found: DifferenceReport) -> str:
    """Return the comparison as a complete HTML document."""
    axis = plots.Axis(0.0, SHOWN_DB)
    return render_page(
        "difference.html.j2",
        found=found,
        points=_points(found, axis),
        histograms=[_histogram(one) for one in found.histograms],
        ticks=[(f"{tick:g}", 100 - axis.at(tick)) for tick in axis.ticks()],
    )


def _points(found: DifferenceReport, axis: plots.Axis) -> list[DepthPoint]:
    faulty = {one.place for one in found.faults}
    across = plots.Axis(-0.5, max(1, len(found.tensors)) - 0.5)
    return [
        DepthPoint(
            across.at(number),
            100 - axis.at(one.so_far_db),
            100 - axis.at(one.here_db),
            one.tensor in faulty,
            one.tensor,
        )
        for number, one in enumerate(found.tensors)
    ]
