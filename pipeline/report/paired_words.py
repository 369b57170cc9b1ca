"""Writes and draws the rates or scores of FP32 and INT8 on the same images, or on their pixels."""

from collections.abc import Iterator, Sequence

from pipeline.report import figures, plots
from pipeline.report.model.gate import Gate
from pipeline.report.model.paired_figures import PairedRate, PairedScore
from pipeline.report.section import ComparedFigure, HeadlineFigure

Named = Sequence[tuple[str, PairedRate | PairedScore]]
"""What was counted, and the figures."""


def drop(rate: PairedRate | PairedScore) -> str:
    """Write a drop: +0.13 [-0.03, 0.30]."""
    return f"{figures.points(rate.drop_points)} {figures.interval(rate.drop_interval)}"


def drop_sentence(rate: PairedRate | PairedScore) -> str:
    """Say how large the drop is, and on how many images."""
    size = f"{figures.points(rate.drop_points)} points {figures.interval(rate.drop_interval)}"
    return f"Drop {size} on {figures.plural(rate.images, 'image')}."


def tile(name: str, rate: PairedRate | PairedScore) -> HeadlineFigure:
    """Return INT8's rate or score as a headline figure."""
    return HeadlineFigure(f"INT8 {name}", figures.percent(rate.int8), f"FP32 {figures.percent(rate.fp32)}")


def rows(rates: Named) -> Iterator[ComparedFigure]:
    """Yield the rates of both."""
    for name, rate in rates:
        yield ComparedFigure(name, figures.percent(rate.fp32), figures.percent(rate.int8))


def drop_chart(rates: Named, gates: Sequence[Gate]) -> plots.Chart:
    """Place the drops, zero and the limit of a gate on one axis."""
    limit = next((gate.limit for gate in gates if gate.name == "max_drop"), None)
    drops: dict[str, plots.Estimate | None] = {
        name: (rate.drop_points, rate.drop_interval) for name, rate in rates
    }
    return plots.chart("Drop from FP32 to INT8", "points", drops, figures.points, limit)
