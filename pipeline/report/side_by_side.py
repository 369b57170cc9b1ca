"""Several reports next to each other: builds of one model, targets, or models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pipeline.errors import ReportError
from pipeline.report import figures, paired_words, plots
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.corrupted_accuracy import ExtraLoss
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.measured_latency import Latency
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.pages.template import VERDICT_WORDS, render_page
from pipeline.report.paired import paired_images, paired_scores, unpack_bits
from pipeline.report.sections.latency import quantile, throughput
from pipeline.report.sections.sizes import memory
from pipeline.report.table import FigureTable

LETTERS = "ABCDEFGH"


@dataclass(frozen=True)
class Row:
    """One figure of every report."""

    name: str
    cells: tuple[str, ...]
    prose: bool = False
    """The cells are sentences, not figures."""


@dataclass(frozen=True)
class Group:
    """The figures about one subject."""

    name: str
    rows: tuple[Row, ...]


def side_by_side(reports: Sequence[Report]) -> tuple[Group, ...]:
    """Return the figures of two to eight reports, grouped.

    Raises ReportError for any other number, and for accuracies of different kinds.
    """
    if not 2 <= len(reports) <= len(LETTERS):
        raise ReportError(f"{len(reports)} reports given; from 2 to {len(LETTERS)} can be shown side by side")
    kinds = {report.accuracy.rates[0][0] for report in reports}
    if len(kinds) > 1:
        raise ReportError(f"the reports count different things, {' and '.join(sorted(kinds))}")
    (counted,) = kinds

    def row(name: str, write: Callable[[Report], str]) -> Row:
        return Row(name, tuple(write(report) for report in reports))

    build = (
        row("verdict", lambda r: VERDICT_WORDS[r.verdict]),
        row("model", lambda r: r.subject.model),
        row("target", lambda r: r.subject.target),
        row("recipe", lambda r: r.subject.recipe),
        row("images", lambda r: f"{figures.count(r.accuracy.rates[0][1].images)} of {r.subject.dataset}"),
    )
    accuracy = (
        row(f"FP32 {counted}", lambda r: figures.percent(r.accuracy.rates[0][1].fp32)),
        row(f"INT8 {counted}", lambda r: figures.percent(r.accuracy.rates[0][1].int8)),
        row("drop, points", lambda r: paired_words.drop(r.accuracy.rates[0][1])),
        row("INT8 behind A's", lambda r: _behind(reports[0], r)),
        row("same class", lambda r: figures.percent(r.accuracy.agreement)),
        row("SQNR", lambda r: figures.decibels(r.accuracy.sqnr_db)),
        row("more when corrupted", lambda r: "" if r.robustness is None else _loss(r.robustness.extra)),
    )
    latency = (
        *(row(name, lambda r, n=name: quantile(r.latency_int8, n)) for name in ("p50", "p90", "p99")),  # type: ignore[misc]
        row("throughput", lambda r: throughput(r.latency_int8)),
        row("times FP32's speed", lambda r: "" if r.speed is None else f"{1 / r.speed.ratio:.2f}"),
        row("measured on", _origin),
        Row("noise", tuple(_noise(report) for report in reports), prose=True),
    )
    size = (
        row("engine", lambda r: figures.size(r.sizes.engine)),
        row("peak memory", lambda r: memory(r.memory_int8)),
    )
    groups = {"Build": build, "Accuracy": accuracy, "INT8 latency": latency, "Size and memory": size}
    return tuple(Group(name, tuple(r for r in rows if any(r.cells))) for name, rows in groups.items())


def charts(reports: Sequence[Report]) -> tuple[plots.Chart, ...]:
    """Return the drawings: the drop of every report, and its INT8 median latency."""
    drops: dict[str, plots.Estimate | None] = {}
    medians: dict[str, plots.Estimate | None] = {}
    for letter, report in zip(LETTERS, reports, strict=False):
        rate, latency = report.accuracy.rates[0][1], report.latency_int8
        drops[letter] = rate.drop_points, rate.drop_interval
        medians[letter] = None if isinstance(latency, NotMeasured) else (latency.p50.ms, latency.p50.interval)
    return (
        plots.chart("Drop from FP32 to INT8", "points", drops, figures.points),
        plots.chart("INT8 latency, p50", "ms", medians, figures.milliseconds),
    )


def render_side_by_side(reports: Sequence[Report], console: Console) -> None:
    """Print reports next to each other."""
    for group in side_by_side(reports):
        table = FigureTable(group.name, *LETTERS[: len(reports)])
        for row in group.rows:
            table.add_row(row.name, *(Text(cell) for cell in row.cells))
        console.print(Padding(table, (0, 1)))


def side_by_side_html(reports: Sequence[Report]) -> str:
    """Return reports next to each other as one self-contained HTML document."""
    return render_page(
        "side_by_side.html.j2",
        reports=[(letter, report) for letter, report in zip(LETTERS, reports, strict=False)],
        groups=side_by_side(reports),
        charts=charts(reports),
        corrupted=any(report.robustness is not None for report in reports),
    )


def _loss(extra: ExtraLoss) -> str:
    return f"{figures.points(extra.points)} {figures.interval(extra.interval)}"


def _behind(first: Report, other: Report) -> str:
    """Compare INT8 with INT8 image by image, where both saw the same images."""
    if other is first:
        return ""
    a, b = first.accuracy, other.accuracy
    sets = [(r.subject.evaluation_digest, r.accuracy.rates[0][1].images) for r in (first, other)]
    if sets[0] != sets[1]:
        return "other images"
    if isinstance(a, Accuracy) and isinstance(b, Accuracy):
        bits = [unpack_bits(each.int8_right, each.top1.images) for each in (a, b)]
        return paired_words.drop(paired_images(bits[0], bits[1]))
    if isinstance(a, PixelAccuracy) and isinstance(b, PixelAccuracy) and a.labelled:
        return paired_words.drop(paired_scores(np.array(a.int8_scores), np.array(b.int8_scores)))
    return "no labels"


def _origin(report: Report) -> str:
    latency = report.latency_int8
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    return f"{latency.origin}: {report.machines[1].description}"


def _noise(report: Report) -> str:
    latency = report.latency_int8
    return "; ".join(latency.noisy) if isinstance(latency, Latency) else ""
