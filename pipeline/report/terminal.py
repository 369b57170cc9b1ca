"""A report in the terminal: the verdict first, then what it rests on. Readable at 80 columns."""

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipeline.diagnosis.diagnosis_record import Diagnosis
from pipeline.report import figures, mixed_words
from pipeline.report.beside import beside, fitting_line, in_float, int8_is
from pipeline.report.comparison import Comparison
from pipeline.report.corruption_loss import conclusion, mean_top1, severities
from pipeline.report.model.accuracy import Accuracy, PairedRate, Robustness
from pipeline.report.model.build_report import Gate, Recommendation, Report, ToolchainCheck
from pipeline.report.model.certainty import NotMeasured, Verdict
from pipeline.report.model.layer_costs import MixedPrecision
from pipeline.report.model.performance import Latency
from pipeline.report.model.pixels import PairedScore, PixelAccuracy
from pipeline.report.table import FigureTable
from targets.base import BuildState

STYLES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.MEANINGLESS: "bold red",
}


def render_terminal(report: Report, console: Console) -> None:
    """Print the report."""
    parts = [
        _headline(report),
        _gates(report.gates),
        _accuracy(report.accuracy),
        _latency(report),
        _sizes(report),
    ]
    if report.checks:
        parts.insert(2, _checks(report.checks))
    if report.diagnosis is not None:
        parts.insert(2, _diagnosis(report.diagnosis))
    if report.recommendation is not None:
        parts.insert(2, _recommendation(report.recommendation))
    if report.mixed is not None:
        parts.append(_mixed(report.mixed))
    if report.robustness is not None:
        parts.append(_robustness(report.robustness))
    console.print(Padding(Group(*parts), (1, 1)))


def _headline(report: Report) -> Text:
    subject = report.subject
    skipped = len(subject.skipped_images)
    lines = [
        Text.assemble(
            (report.verdict.upper(), STYLES[report.verdict]),
            "  ",
            (subject.model, "bold"),
            " for ",
            (subject.target, "bold"),
            f", {subject.recipe}",
            (f"  {report.state}" if report.state is not BuildState.BUILT else "", "bold yellow"),
        ),
        Text(
            f"{subject.dataset}: {figures.plural(subject.evaluation_images, 'image')} evaluated, "
            f"{figures.count(subject.calibration_images)} calibrated",
            style="dim",
        ),
    ]
    if report.fp32_is is not None:
        lines.append(Text(f"FP32 here is {report.fp32_is}", style="yellow"))
    if skipped:
        names = ", ".join(image.name for image in subject.skipped_images[:3]) + (
            ", ..." if skipped > 3 else ""
        )
        lines.append(Text(f"{figures.plural(skipped, 'unreadable image')} skipped: {names}", style="yellow"))
    return Text("\n").join(lines)


def _gates(gates: tuple[Gate, ...]) -> RenderableType:
    if not gates:
        return Text("\nno gate was asked for", style="dim")
    table = FigureTable("Gates", "")
    for gate in gates:
        message = Text.assemble(gate.claim, "\n", (gate.message, "dim"))
        table.add_row(Text(gate.verdict, style=STYLES[gate.verdict]), message)
    return table


def _diagnosis(found: Diagnosis) -> FigureTable:
    table = FigureTable("Why FP32 guesses", "right", caption=found.conclusion)
    table.add_row("as described", f"{found.right_as_told} of {found.images}")
    for one in found.tried:
        table.add_row(one.name, f"{one.right} of {found.images}")
    return table


def _recommendation(found: Recommendation) -> FigureTable:
    table = FigureTable("Ship on this device", "")
    table.add_row(Text(found.ship or "neither", style="bold"), found.why)
    drop = f"{figures.points(found.fp16_drop_points)} {figures.interval(found.fp16_drop_interval)}"
    table.add_row("FP16 top-1", f"{figures.percent(found.fp16_top1)}, drop {drop} points")
    return table


def _checks(checks: tuple[ToolchainCheck, ...]) -> FigureTable:
    table = FigureTable("Checked", "")
    for check in checks:
        style = "green" if check.outcome == "passed" else "yellow"
        table.add_row(Text(check.outcome, style=style), check.message)
    return table


def _accuracy(accuracy: Accuracy | PixelAccuracy) -> RenderableType:
    return _of_pixels(accuracy) if isinstance(accuracy, PixelAccuracy) else _of_images(accuracy)


def _of_pixels(accuracy: PixelAccuracy) -> RenderableType:
    against = "masks" if accuracy.labelled else "FP32's classes: there are no masks"
    table = FigureTable("Pixels", "FP32", "INT8", "drop, points", caption=f"against {against}")
    iou = "mean IoU of an image" if accuracy.labelled else "IoU with FP32"
    for name, rate in ((accuracy.rates[0][0], accuracy.pixels), (iou, accuracy.iou)):
        table.add_row(name, figures.percent(rate.fp32), figures.percent(rate.int8), _drop(rate))
    pooled = accuracy.fp32_mean_iou, accuracy.int8_mean_iou
    drop = figures.points(100 * (pooled[0] - pooled[1]))
    table.add_row("mean IoU, all images", *map(figures.percent, pooled), drop)
    likeness = FigureTable(
        "INT8 against FP32",
        "",
        caption=f"FP32 measured on {accuracy.fp32_origin}, INT8 on {accuracy.int8_origin}; 95 % intervals",
    )
    likeness.add_row("same class", f"{figures.percent(accuracy.agreement)} of pixels")
    likeness.add_row("logits", f"SQNR {figures.decibels(accuracy.sqnr_db)}")
    return Group(table, likeness)


def _of_images(accuracy: Accuracy) -> RenderableType:
    rates = FigureTable("Accuracy", "FP32", "INT8", "drop, points")
    for name, rate in (("top-1", accuracy.top1), ("top-5", accuracy.top5)):
        if rate is not None:
            rates.add_row(name, figures.percent(rate.fp32), figures.percent(rate.int8), _drop(rate))
    origins = f"FP32 measured on {accuracy.fp32_origin}, INT8 on {accuracy.int8_origin}; 95 % intervals"
    likeness = FigureTable("INT8 against FP32", "", caption=origins)
    same = figures.interval(accuracy.agreement_interval.scaled(100))
    likeness.add_row("same top-1", f"{figures.percent(accuracy.agreement)} of images {same}")
    flips = f"{figures.count(accuracy.top1.worse)} worse, {figures.count(accuracy.top1.better)} better"
    likeness.add_row(
        "images flipped", f"{flips}, McNemar's exact p {figures.probability(accuracy.top1.mcnemar_p)}"
    )
    sqnr = figures.decibels(accuracy.sqnr_db)
    likeness.add_row("logits", f"KL {accuracy.kl_nats:.4f} nats, SQNR {sqnr}")
    return Group(rates, likeness)


def _drop(rate: PairedRate | PairedScore) -> str:
    return f"{figures.points(rate.drop_points)} {figures.interval(rate.drop_interval)}"


def _latency(report: Report) -> RenderableType:
    fp32, int8 = report.latency_fp32, report.latency_int8
    table = FigureTable("Latency", "FP32", "INT8")
    for name in ("p50", "p90", "p99"):
        table.add_row(name, *(_quantile(latency, name) for latency in (fp32, int8)))
    table.add_row("throughput", *(_throughput(latency) for latency in (fp32, int8)))
    notes = []
    for name, latency in (("FP32", fp32), ("INT8", int8)):
        if isinstance(latency, NotMeasured):
            notes.append(Text(f"{name} not measured: {latency.reason}", style="yellow"))
        else:
            notes.append(Text(f"{name}: {figures.circumstances(latency)}", style="dim"))
            notes += [Text(f"{name} is noisy: {reason}", style="yellow") for reason in latency.noisy]
    if report.instructions_int8 is not None:
        notes.append(Text(f"INT8 executes {figures.instructions(report.instructions_int8)}"))
    if report.speed is not None:
        notes.insert(0, Text(f"INT8 is {figures.speed_up(report.speed)}"))
    if report.no_peer is not None:
        notes.append(Text(f"onnxruntime's own INT8 not measured: {report.no_peer}", style="dim"))
    if report.coverage is not None:
        notes.append(Text(f"INT8: {in_float(report.coverage)}", style="dim"))
    if report.fitting is not None:
        notes.append(Text(f"pictures: {fitting_line(report.fitting)}", style="dim"))
    beside_table = [_beside(report)] if report.compared else []
    return Group(table, *beside_table, *[Padding(note, (0, 0, 0, 1)) for note in notes])


def _beside(report: Report) -> RenderableType:
    table = FigureTable("Timed in alternation", "p50", "INT8 is", "same top-1 as FP32")
    rows = beside(report)
    for row in rows:
        table.add_row(row.name, row.p50, row.int8_is, row.agreement)
    told = [f"{row.name}: {'; '.join(row.details)}" for row in rows] + [int8_is(report)]
    return Group(table, *[Padding(Text(line, style="dim"), (0, 0, 0, 1)) for line in told])


def _quantile(latency: Latency | NotMeasured, name: str) -> str:
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    quantile = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99}[name]
    return f"{figures.milliseconds(quantile.ms)} {figures.milliseconds_interval(quantile.interval)}"


def _throughput(latency: Latency | NotMeasured) -> str:
    if isinstance(latency, NotMeasured):
        return figures.NOT_MEASURED
    return f"{figures.significant(latency.throughput_per_s)} images/s"


def _sizes(report: Report) -> FigureTable:
    sizes = report.sizes
    table = FigureTable("Size and memory", "FP32", "INT8")
    table.add_row("ONNX", figures.size(sizes.model), figures.size(sizes.int8_model))
    table.add_row("engine", "", figures.size(sizes.engine))
    table.add_row("peak memory", figures.memory(report.memory_fp32), figures.memory(report.memory_int8))
    return table


def _robustness(found: Robustness) -> RenderableType:
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
    return Group(table, Text(notes, style="dim"), Text(conclusion(found)))


def _mixed(found: MixedPrecision) -> RenderableType:
    table = FigureTable("Left in float", "SQNR alone", "points saved", "share of MAC")
    for layer in found.layers:
        shown = figures.decibels(layer.sqnr_db), figures.points(layer.saved_points)
        table.add_row(layer.layer, *shown, figures.percent(layer.macs_share))
    said = Text(mixed_words.conclusion(found))
    return Group(table, said) if found.layers else said


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print what moved between a baseline and a build."""
    title = Text.assemble(
        (comparison.verdict.upper(), STYLES[comparison.verdict]),
        "  ",
        (comparison.model, "bold"),
        " for ",
        (comparison.target, "bold"),
        " against its baseline",
    )
    table = FigureTable("", "baseline", "this build", "")
    for moved in comparison.moved:
        table.add_row(moved.name, moved.before, moved.after, Text(moved.note, style="dim"))
    warnings = [Text(f"warning: {warning}", style="yellow") for warning in comparison.warnings]
    console.print(Padding(Group(title, _gates(comparison.gates), table, *warnings), (1, 1)))
