"""Geometry of the report's pictures: positions in percent of the drawing, which a template draws as SVG.

Percentages instead of a view box keep text and strokes at their size on every screen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.report import figures
from pipeline.report.model.certainty import Interval

BINS = 48
SLICES = 120


@dataclass(frozen=True)
class Axis:
    """A linear axis from `low` to `high`; positions are percent of its length."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the position of a value, in [0, 100]: what lies outside is drawn at the edge."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 3)

    def ticks(self, wanted: int = 4) -> list[float]:
        """Return about `wanted` round values on the axis."""
        rough = (self.high - self.low) / wanted
        magnitude = 10.0 ** math.floor(math.log10(rough))
        step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Bar:
    """A rectangle, in percent."""

    x: float
    width: float
    y: float  # from the top
    height: float


@dataclass(frozen=True)
class Span:
    """An interval on an axis, in percent, with its estimate; open when it has no upper end."""

    left: float
    width: float
    value: float
    open_above: bool


def span(axis: Axis, value: float, interval: Interval) -> Span:
    """Place an estimate and its interval on an axis."""
    left = axis.at(interval.low)
    right = 100.0 if interval.high is None else axis.at(interval.high)
    return Span(left, round(right - left, 3), axis.at(value), interval.high is None)


def axis_around(values: list[float], margin: float = 0.08) -> Axis:
    """Return an axis that shows all values with some room on both sides."""
    low, high = min(values), max(values)
    room = margin * (high - low) or abs(high) * margin or 1.0
    return Axis(low - room, high + room)


@dataclass(frozen=True)
class Mark:
    """A named estimate on an axis that several share; no span: there is no figure."""

    name: str
    written: str
    span: Span | None


@dataclass(frozen=True)
class Chart:
    """Estimates of the same kind, one a line, with zero and perhaps a limit."""

    title: str
    unit: str
    axis: Axis
    marks: tuple[Mark, ...]
    limit: float | None = None


Estimate = tuple[float, Interval]


def chart(
    title: str,
    unit: str,
    estimates: Mapping[str, Estimate | None],
    write: Callable[[float], str],
    limit: float | None = None,
) -> Chart:
    """Draw named estimates on one axis that starts at or below zero; None is written as not measured."""
    known = [estimate for estimate in estimates.values() if estimate is not None]
    ends = [end for value, interval in known for end in (value, interval.low, interval.high)]
    axis = axis_around([0.0, *([] if limit is None else [limit]), *[end for end in ends if end is not None]])
    marks = tuple(
        Mark(name, figures.NOT_MEASURED, None)
        if estimate is None
        else Mark(name, write(estimate[0]), span(axis, *estimate))
        for name, estimate in estimates.items()
    )
    return Chart(title, unit, axis, marks, limit)


@dataclass(frozen=True)
class LatencyPlot:
    """The distribution of one engine's runs, and the same runs in the order they were made."""

    axis: Axis  # ms
    bars: list[Bar]
    beyond: int  # runs slower than the axis shows
    slowest_ms: float
    slices: list[Bar]  # range of each slice of successive runs; y is the latency axis
    medians: list[tuple[float, float, float]]  # of each slice: x, width, y


def latency_plot(runs_ns: Sequence[int]) -> LatencyPlot:
    """Draw runs; the axis ends soon after p99, so that an outlier does not flatten the rest."""
    ms = np.array(runs_ns) / 1e6
    fastest, slow = float(ms.min()), float(np.quantile(ms, 0.99))
    room = 0.06 * (slow - fastest) or 0.01 * slow
    axis = Axis(fastest - room, slow + 3 * room)
    counts, edges = np.histogram(ms, bins=BINS, range=(axis.low, axis.high))
    tallest = max(1, int(counts.max()))
    bars = [
        Bar(
            axis.at(left),
            round(axis.at(right) - axis.at(left), 3),
            round(100 - 100 * int(n) / tallest, 2),
            round(100 * int(n) / tallest, 2),
        )
        for n, (left, right) in zip(counts, pairwise(edges.tolist()), strict=True)
        if n
    ]
    slices, medians = _in_order(ms.tolist(), axis)
    return LatencyPlot(axis, bars, int((ms > axis.high).sum()), float(ms.max()), slices, medians)


def _in_order(ms: list[float], axis: Axis) -> tuple[list[Bar], list[tuple[float, float, float]]]:
    parts = [part for part in np.array_split(np.array(ms), min(SLICES, len(ms))) if len(part)]
    width = round(100 / len(parts), 4)
    slices, medians = [], []
    for i, part in enumerate(parts):
        x, top = round(i * 100 / len(parts), 3), 100 - axis.at(float(part.max()))
        bottom = 100 - axis.at(float(part.min()))
        slices.append(Bar(x, width, round(top, 2), round(max(0.5, bottom - top), 2)))
        medians.append((x, width, round(100 - axis.at(float(np.median(part))), 2)))
    return slices, medians
