"""FP32 and INT8 under camera corruptions: does INT8 lose more, and is that more than noise?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import RenderableType
from rich.text import Text

from pipeline.report import figures, plots
from pipeline.report.model.corrupted_accuracy import CorruptedAccuracy, Robustness
from pipeline.report.section import ReportSection
from pipeline.report.table import FigureTable
from targets.runtime.paired_difference import LEVEL


@dataclass(frozen=True)
class ConditionRow:
    """A corruption and severity with the places of its accuracies on the common axis, in percent of it."""

    of: CorruptedAccuracy
    stands_out: bool
    fp32_at: float
    int8_at: float


class Corrupted(Protocol):
    """What the section reads of report.json."""

    @property
    def robustness(self) -> Robustness | None:
        """None: it was not asked for."""
        ...


class RobustnessSection(ReportSection[Corrupted]):
    """What was found, the extra losses of each corruption, and every severity."""

    name = "robustness"

    def html(self, report: Corrupted) -> Mapping[str, object] | None:
        """Return the conclusion, the extra losses drawn, and a row for each corruption and severity."""
        found = report.robustness
        if found is None:
            return None
        drawn: dict[str, plots.Estimate | None] = {
            name: (extra.points, extra.interval) for name, extra in found.by_corruption
        }
        title = "What INT8 loses more than FP32 from clean to corrupted"
        return {
            "found": found,
            "conclusion": conclusion(found),
            "severities": severities(found),
            "chart": plots.chart(title, "points", drawn, figures.points),
            "rows": _condition_rows(found),
        }

    def terminal(self, report: Corrupted) -> Iterator[RenderableType]:
        """Yield the mean of each corruption, and what was found."""
        found = report.robustness
        if found is None:
            return
        table = FigureTable("Robustness", "FP32", "INT8", "INT8 loses more by")
        clean = found.clean
        table.add_row("clean", figures.percent(clean.fp32), figures.percent(clean.int8), "")
        for name, extra in found.by_corruption:
            loss = f"{figures.points(extra.points)} {figures.interval(extra.interval)}"
            table.add_row(name, *map(figures.percent, mean_top1(found, name)), loss)
        notes = (
            f"top-1 on {figures.plural(clean.images, 'image')}, mean of severities {severities(found)} of "
            f"{found.parameters}; FP32 measured on {found.fp32_origin}, INT8 on {found.int8_origin}; "
            "points, the intervals all hold together with 95 % confidence"
        )
        yield table
        yield Text(notes, style="dim")
        yield Text(conclusion(found))

    def markdown(self, report: Corrupted) -> Iterator[str]:
        """Yield what was found."""
        if report.robustness is not None:
            yield conclusion(report.robustness)


def conclusion(found: Robustness) -> str:
    """Say whether INT8 loses more than FP32 under corruption, and whether that is more than noise."""
    extra, tests = found.extra, len(found.corrupted)
    high = extra.interval.high
    clear = extra.p < 1 - LEVEL and (extra.interval.low > 0 or (high is not None and high < 0))
    noise = "more than noise" if clear else "no more than noise"
    if extra.points == 0:
        amount = "exactly as much as"
    else:
        amount = f"{abs(extra.points):.2f} points {'more' if extra.points > 0 else 'less'} than"
    whole = (
        f"Under corruption FP32 loses {found.fp32_loss_points:.2f} points of top-1 and INT8 "
        f"{found.int8_loss_points:.2f}: INT8 loses {amount} FP32, {noise} (difference "
        f"{figures.points(extra.points)} {figures.interval(extra.interval)} with 95 % confidence)."
    )
    worse = [
        f"{one.corruption} {one.severity}"
        for one in found.corrupted
        if stands_out(one) and one.extra.points > 0
    ]
    if not worse:
        return f"{whole} Not one of {tests} conditions alone shows INT8 losing more, after Holm's correction."
    return (
        f"{whole} After Holm's correction for {tests} conditions, INT8 loses more under {', '.join(worse)}."
    )


def mean_top1(found: Robustness, corruption: str) -> tuple[float, float]:
    """Return the mean share that FP32 and INT8 get right under a corruption, over its severities."""
    rates = [one.top1 for one in found.corrupted if one.corruption == corruption]
    return sum(rate.fp32 for rate in rates) / len(rates), sum(rate.int8 for rate in rates) / len(rates)


def severities(found: Robustness) -> str:
    """Name the severities tested: 1, 3 and 5."""
    *before, last = sorted({one.severity for one in found.corrupted})
    return f"{', '.join(map(str, before))} and {last}" if before else str(last)


def stands_out(one: CorruptedAccuracy) -> bool:
    """Tell whether a condition's extra loss is more than noise, corrected for all conditions together."""
    return one.holm_p < 1 - LEVEL


def _condition_rows(found: Robustness) -> list[ConditionRow]:
    axis = plots.Axis(0.0, 1.0)
    return [
        ConditionRow(one, stands_out(one), axis.at(one.top1.fp32), axis.at(one.top1.int8))
        for one in found.corrupted
    ]
