"""All rows of a matrix as one page."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from urllib.parse import quote

from pipeline.report import figures
from pipeline.report.best_rows import tally, verdict_of
from pipeline.report.model.certainty import Interval
from pipeline.report.model.matrix_report import BudgetChoice, BuiltRow, Contest, MatrixReport, RowFigures
from pipeline.report.pages.template import render_page
from pipeline.report.scatter import CostPlot, Measured, scatter
from pipeline.report.section import HeadlineFigure


@dataclass(frozen=True)
class Drawn:
    """The drawings of a contest."""

    title: str
    plots: tuple[CostPlot, ...]
    without: tuple[str, ...]  # what cannot be drawn, and why


def matrix_html(report: MatrixReport) -> str:
    """Return the matrix as one HTML document without requests: light and dark, for phone and desktop."""
    labels = {row.name: str(number) for number, row in enumerate(report.rows, start=1)}
    return render_page(
        "matrix.html.j2",
        report=report,
        labels=labels,
        tally=tally(report.rows),
        tiles=list(_tiles(report)),
        rows=[(labels[row.name], row, verdict_of(row), _link(row)) for row in report.rows],
        named={row.name: row for row in report.rows},
        budgets=[(name, list(each)) for name, each in groupby(report.choices, key=lambda one: one.budget)],
        drawn=[_drawn(contest, report, labels) for contest in report.contests],
        gates=list(
            dict.fromkeys(g.name for row in report.rows for g in (row.figures.gates if row.figures else ()))
        ),
        place=place,
        cost=cost,
        within=within,
    )


def place(contest: Contest, others: tuple[Contest, ...] = ()) -> str:
    """Name a contest: its target and device, and its images where another contest has different ones."""
    device = "" if contest.device == "none" else f" on {contest.device}"
    several = len({one.evaluation_digest for one in others}) > 1
    return f"{contest.target}{device}{f', {contest.dataset}' if several else ''}"


def cost(own: RowFigures) -> str:
    """Write the cost of an inference: its time or, where that is not known, the counted instructions."""
    if own.p50 is not None:
        return figures.milliseconds(own.p50.ms)
    if own.instructions is not None:
        return f"{figures.significant(own.instructions / 1e6)} M instructions"
    return figures.NOT_MEASURED


def within(choice: BudgetChoice) -> str:
    """Say how many rows fit a budget, and how many lack a figure that it limits."""
    unknown = f", {choice.unknown} not measured in it" if choice.unknown else ""
    return f"{figures.plural(choice.fitting, 'row')} within{unknown}"


def _tiles(report: MatrixReport) -> Iterator[HeadlineFigure]:
    ended = [row for row in report.rows if row.state != "waiting"]
    ran = sum(row.stages_run for row in report.rows)
    known = sum(row.stages_known for row in report.rows)
    yield HeadlineFigure("Rows", f"{len(ended)} of {len(report.rows)}", tally(report.rows))
    for name, axis in (("Models", "model"), ("Recipes", "recipe"), ("Targets", "target")):
        there = list(dict.fromkeys(getattr(row, axis) for row in report.rows))
        yield HeadlineFigure(
            name, str(len(there)), ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
        )
    yield HeadlineFigure("Stages", figures.count(ran), f"run now; {figures.count(known)} from the store")


def _link(row: BuiltRow) -> str:
    """Return the address of a row's own report, beside this page."""
    if row.figures is None:
        return ""
    return quote(str(PurePosixPath(row.figures.report).with_suffix(".html")))


Cost = Callable[[RowFigures], tuple[float, Interval | None] | None]


def _drawn(contest: Contest, report: MatrixReport, labels: Mapping[str, str]) -> Drawn:
    """Draw accuracy against latency, or else instructions, and against the engine's size."""
    own = {row.name: row.figures for row in report.rows if row.name in contest.rows and row.figures}
    timed = any(one.p50 for one in own.values())
    costs: list[tuple[str, Cost]] = [("p50, ms", _time) if timed else ("million instructions", _instructions)]
    costs.append(("engine, KiB", _size))
    plots: list[CostPlot] = []
    without: list[str] = []
    for across, cost_of in costs:
        measured = [
            Measured(labels[name], name, *found, 100 * one.int8, _percent(one.int8_interval))
            for name, one in own.items()
            if (found := cost_of(one)) is not None
        ]
        if missing := [labels[name] for name, one in own.items() if cost_of(one) is None]:
            without.append(f"{across.partition(',')[0]} of {', '.join(missing)} is not measured")
        if drawn := scatter(f"INT8 {contest.counted} against {across.partition(',')[0]}", across, measured):
            plots.append(drawn)
    return Drawn(place(contest, report.contests), tuple(plots), tuple(without))


def _time(own: RowFigures) -> tuple[float, Interval | None] | None:
    return None if own.p50 is None else (own.p50.ms, own.p50.interval)


def _instructions(own: RowFigures) -> tuple[float, Interval | None] | None:
    return None if own.instructions is None else (own.instructions / 1e6, None)


def _size(own: RowFigures) -> tuple[float, Interval | None] | None:
    return None if own.engine_bytes is None else (own.engine_bytes / 2**10, None)


def _percent(interval: Interval | None) -> Interval | None:
    return None if interval is None else interval.scaled(100)
