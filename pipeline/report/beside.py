"""What was timed beside INT8, as the rows of a table: the same in every form of the report."""

from dataclasses import dataclass

from pipeline.report import figures
from pipeline.report.model.build_report import PictureFitting, Report
from pipeline.report.model.layer_costs import Coverage
from pipeline.report.model.performance import ComparedRun


@dataclass(frozen=True)
class BesideRow:
    """One of them: its latency, INT8's speed against it, how often it agrees with FP32, and what it is."""

    name: str
    p50: str
    int8_is: str
    agreement: str
    details: tuple[str, ...]


def beside(report: Report) -> list[BesideRow]:
    """Return a row for all that was timed in alternation with INT8."""
    return [_row(run) for run in report.compared]


def _row(run: ComparedRun) -> BesideRow:
    details = [f"{run.graph}; {run.engine}", f"input: {run.input}"]
    if run.note:
        details.append(run.note)
    agreement = ""
    if run.agreement is not None:
        agreement = f"{figures.percent(run.agreement)} of {figures.plural(run.agreement_images, 'image')}"
    return BesideRow(
        name=f"{run.name} (this report's FP32)" if run.baseline else run.name,
        p50=f"{figures.milliseconds(run.p50.ms)} {figures.milliseconds_interval(run.p50.interval)}",
        int8_is="" if run.speed is None else figures.speed_up(run.speed, than="this"),
        agreement=agreement,
        details=tuple(details),
    )


def int8_is(report: Report) -> str:
    """Say what INT8 is in that comparison."""
    return f"INT8: {report.subject.target}'s engine from uint8 pixels to logits, normalisation included"


def fitting_line(fitting: PictureFitting) -> str:
    """Say what resize and crop do, and to how many pictures nothing."""
    looked_at = figures.plural(fitting.looked_at, "picture")
    return f"{fitting.words}; {figures.count(fitting.untouched)} of {looked_at} looked at are not changed"


def in_float(coverage: Coverage) -> str:
    """Say how much computes in float: by time where it is known, which can never be nothing and a share."""
    named = ", ".join(coverage.float_layers[:5])
    more = len(coverage.float_layers) - 5
    if more > 0:
        named += f" and {more} more"
    if not coverage.float_layers:
        return "nothing computes in float"
    layers = figures.plural(len(coverage.float_layers), "layer")
    share = ""
    if coverage.times is not None:
        share = f", {figures.percent(1 - coverage.times.int8_share)} of the time in layers"
    return f"{layers} in float{share}: {named}"
