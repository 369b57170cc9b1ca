"""Geometry of a plot of accuracy against a cost: positions in percent, which a template draws as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.best_rows import front
from pipeline.report.model.certainty import Interval
from pipeline.report.plots import Axis, axis_around

HEIGHT = 260
"""Pixels; the width is that of the page."""
NEAR_X, NEAR_Y = 4.0, 13
"""Labels that are nearer than this, in percent and in pixels, are moved apart."""
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Measured:
    """A row to draw: its label, its cost, and its accuracy in percent. Intervals: None is not known."""

    label: str
    name: str
    cost: float
    cost_interval: Interval | None
    accuracy: float
    accuracy_interval: Interval | None


@dataclass(frozen=True)
class RowDot:
    """A row in the drawing: percent from the left and the top, the ends of its intervals, its label."""

    label: str
    name: str
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    on_front: bool
    label_shift: int  # pixels downwards


@dataclass(frozen=True)
class Tick:
    """A round value on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class CostPlot:
    """Accuracy, upwards, against a cost, on a logarithmic axis."""

    title: str
    across: str
    dots: tuple[RowDot, ...]
    steps: tuple[tuple[float, float, float, float], ...]  # lines of the front: x1, y1, x2, y2
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    words: str  # what it shows, for those who cannot see it


def scatter(title: str, across: str, measured: Sequence[Measured]) -> CostPlot | None:
    """Draw rows of one contest; None without at least one. Costs are positive."""
    if not measured:
        return None
    costs = [end for one in measured for end in _cost_ends(one)]
    x_axis = axis_around([math.log10(cost) for cost in costs], margin=0.12)
    rates = [end for one in measured for end in _ends(one.accuracy, one.accuracy_interval)]
    y_axis = axis_around(rates)
    best = front([(one.cost, one.accuracy) for one in measured])
    dots: list[RowDot] = []
    for number, one in enumerate(measured):
        x, y = x_axis.at(math.log10(one.cost)), 100 - y_axis.at(one.accuracy)
        left, right = (x_axis.at(math.log10(end)) for end in _cost_ends(one))
        bottom, top = (100 - y_axis.at(end) for end in _ends(one.accuracy, one.accuracy_interval))
        shift = _free_place(x, y, dots)
        dots.append(
            RowDot(one.label, one.name, x, round(y, 3), left, right, top, bottom, number in best, shift)
        )
    return CostPlot(
        title=title,
        across=across,
        dots=tuple(dots),
        steps=_steps([dots[number] for number in best]),
        x_ticks=tuple(_logarithmic_ticks(x_axis)),
        y_ticks=tuple(Tick(round(100 - y_axis.at(tick), 3), f"{tick:g}") for tick in y_axis.ticks(5)),
        words=". ".join(
            f"{one.label}, {one.name}: {one.accuracy:.2f} % at {one.cost:.4g}" for one in measured
        ),
    )


def _ends(value: float, interval: Interval | None) -> tuple[float, float]:
    if interval is None:
        return value, value
    return interval.low, value if interval.high is None else interval.high


def _cost_ends(one: Measured) -> tuple[float, float]:
    """Return what a bar spans. A noisy latency has 0 as its lower bound, which a logarithmic axis lacks."""
    low, high = _ends(one.cost, one.cost_interval)
    return low if low > 0 else one.cost, high


def _free_place(x: float, y: float, others: Sequence[RowDot]) -> int:
    """Return how many pixels a label goes down, so that it lies on none of the labels before it."""
    taken = [HEIGHT * dot.y / 100 + dot.label_shift for dot in others if abs(dot.x - x) < NEAR_X]
    wanted = HEIGHT * y / 100
    shifts = (side * NEAR_Y * step for step in range(len(taken) + 1) for side in (1, -1))
    free = (s for s in shifts if all(abs(wanted + s - other) >= NEAR_Y for other in taken))
    return next(free, 0)


def _steps(best: Sequence[RowDot]) -> tuple[tuple[float, float, float, float], ...]:
    """Return the front as steps: up to a dot, and on to the right."""
    lines: list[tuple[float, float, float, float]] = []
    for one, after in zip(best, [*best[1:], None], strict=True):
        end = 100.0 if after is None else after.x
        lines.append((one.x, one.y, end, one.y))
        if after is not None:
            lines.append((end, one.y, end, after.y))
    return tuple(lines)


def _logarithmic_ticks(axis: Axis) -> list[Tick]:
    """Return 1, 2 and 5 times powers of ten; on an axis that has none of them, a few values between."""
    powers = range(math.floor(axis.low) - 1, math.ceil(axis.high) + 1)
    values = [step * 10.0**power for power in powers for step in STEPS]
    inside = [value for value in values if axis.low <= math.log10(value) <= axis.high]
    if len(inside) < 2:
        inside = Axis(10**axis.low, 10**axis.high).ticks(3)
    return [Tick(axis.at(math.log10(value)), f"{value:g}") for value in inside if value > 0]
