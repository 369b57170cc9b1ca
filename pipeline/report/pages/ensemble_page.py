"""What was found about an ensemble: a record, and pages for people."""

from html import escape

from pipeline.report.lines import LineChart, Points
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.paired_figures import PairedRate
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
        """Return what does no better than guessing in float: its loss in INT8 says nothing."""
        return tuple(one for one in self.combinations if one.plausible is Verdict.MEANINGLESS)


def markdown(report: EnsembleReport) -> str:
    """Return a table: accuracy against cost."""
    lines = [
        f"Target {report.target}. Averaged logits; cost is the sum of the members' medians, one thread.",
        "",
        "| model or ensemble | top-1 INT8 | 95 % interval | INT8 - FP32, points | above "
        f"{report.best_single} | cost |",
        "|---|---|---|---|---|---|",
    ]
    for one in report.combinations:
        low, high = one.int8_interval.low, one.int8_interval.high
        gain = one.int8_against_best_single.drop_interval
        above = "" if one.members == (report.best_single,) else f"{one.gain_points:+.2f}"
        if above and gain.high is not None:
            above += f" [{-gain.high:+.2f}, {-gain.low:+.2f}]"
        lines.append(
            f"| {' + '.join(one.members)} | {one.int8_top1:.2%} | {low:.2%} to {_share(high)} |"
            f" {-one.int8_against_fp32.drop_points:+.2f} | {above} | {_cost(one)} |"
        )
    lines += [f"\n**Meaningless**: {' + '.join(one.members)}: {one.why}." for one in report.guessing]
    return "\n".join(lines) + "\n"


def _share(high: float | None) -> str:
    return "" if high is None else f"{high:.2%}"


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
    rows = [
        "".join(f"<td>{escape(cell.strip())}</td>" for cell in line.strip("|").split("|"))
        for line in markdown(report).splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    warnings = "".join(
        f"<p><b>Meaningless</b>: {escape(' + '.join(one.members))}: {escape(one.why)}.</p>"
        for one in report.guessing
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Ensemble</title><style>'
        "body { font-family: sans-serif; margin: 2em } td { padding: 4px 12px; border: 1px solid #ddd }"
        f"</style></head><body><h1>Ensemble on {escape(report.target)}</h1>{drawn.svg() if drawn else ''}"
        f"<table>{table}</table>{warnings}</body></html>\n"
    )
