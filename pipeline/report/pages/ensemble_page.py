"""The record of an ensemble's measurements, and its pages in Markdown and HTML."""

from pipeline.report.figures import percent, points
from pipeline.report.lines import LineChart, Points
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.pages.template import render_page
from pipeline.report.record import Record


class Combination(Record):
    """One model, or several with their logits averaged. Costs are sums over members; None: not measured."""

    members: tuple[str, ...]
    images: int
    int8_top1: float
    int8_interval: Interval  # Wilson, shares
    int8_against_fp32: PairedRate  # the same combination in float
    plausible: Verdict  # does it do better than guessing, in float?
    why: str
    int8_against_best_single: PairedRate  # in the fields of FP32: the member that is best alone, in INT8
    int8_ms: float | None
    fp32_ms: float | None
    instructions: float | None

    @property
    def gain_points(self) -> float:
        """Top-1 above the best single member, in percentage points."""
        return -self.int8_against_best_single.drop_points


class EnsembleReport(Record):
    """Members alone, and ensembles of the first two, three, ... of them."""

    target: str
    best_single: str
    combinations: tuple[Combination, ...]

    @property
    def guessing(self) -> tuple[Combination, ...]:
        """Return the combinations that only guess in float, so that their loss in INT8 says nothing."""
        return tuple(one for one in self.combinations if one.plausible is Verdict.MEANINGLESS)


def basis(report: EnsembleReport) -> str:
    """Say what the figures are of."""
    return f"Target {report.target}. Averaged logits; cost is the sum of the members' medians, one thread."


def head(report: EnsembleReport) -> tuple[str, ...]:
    """Return the names of the table's columns."""
    above = f"above {report.best_single}"
    return ("model or ensemble", "top-1 INT8", "95 % interval", "drop, points", above, "cost")


def rows(report: EnsembleReport) -> list[tuple[str, ...]]:
    """Return the table: a row for each combination."""
    found: list[tuple[str, ...]] = []
    for one in report.combinations:
        low, high = one.int8_interval.low, one.int8_interval.high
        gain = one.int8_against_best_single.drop_interval
        above = "" if one.members == (report.best_single,) else f"{one.gain_points:+.2f}"
        if above and gain.high is not None:
            above += f" [{-gain.high:+.2f}, {-gain.low:+.2f}]"
        interval = f"{percent(low)} to {_share(high)}"
        drop = points(one.int8_against_fp32.drop_points)
        found.append((" + ".join(one.members), percent(one.int8_top1), interval, drop, above, _cost(one)))
    return found


def markdown(report: EnsembleReport) -> str:
    """Return a table: accuracy against cost."""
    lines = [basis(report), ""]
    lines += [f"| {' | '.join(head(report))} |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(report)]
    lines += [f"\n**Meaningless**: {' + '.join(one.members)}: {one.why}." for one in report.guessing]
    return "\n".join(lines) + "\n"


def _share(high: float | None) -> str:
    return "" if high is None else percent(high)


def _cost(one: Combination) -> str:
    if one.int8_ms is not None:
        return f"{one.int8_ms:.3f} ms"
    if one.instructions is not None:
        return f"{one.instructions / 1e6:,.1f} M instructions (emulated)"
    return "not measured"


def chart(report: EnsembleReport) -> LineChart | None:
    """Draw accuracy over cost; None if some cost was not measured."""
    timed = all(one.int8_ms is not None for one in report.combinations)
    lines: dict[str, Points] = {}
    together: list[tuple[float, float]] = []
    for one in report.combinations:
        cost = one.int8_ms if timed else one.instructions
        if cost is None:
            return None
        point = (cost if timed else cost / 1e6, 100 * one.int8_top1)
        if len(one.members) == 1:
            lines[one.members[0]] = [point]
        else:
            together.append(point)
    unit = "milliseconds" if timed else "million instructions, emulated"
    return LineChart("Accuracy against cost, INT8", unit, "top-1, %", lines | {"averaged": together})


def html(report: EnsembleReport) -> str:
    """Return one self-contained page."""
    drawn = chart(report)
    return render_page(
        "ensemble.html.j2",
        report=report,
        basis=basis(report),
        head=head(report),
        rows=rows(report),
        drawing=drawn.markup() if drawn else None,
    )
