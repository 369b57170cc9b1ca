"""A report as one HTML file: no script, no request; light and dark, for phone and desktop."""

from dataclasses import dataclass

from pipeline.report import beside, figures, image_page, mixed_words, pixel_page, plots
from pipeline.report.corruption_loss import conclusion, severities, stands_out
from pipeline.report.model.accuracy import Accuracy, CorruptedAccuracy, PairedRate, Robustness
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.performance import Latency
from pipeline.report.model.pixels import PairedScore, PixelAccuracy
from pipeline.report.template import render_page


@dataclass(frozen=True)
class HeadlineFigure:
    """One headline figure."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class RobustnessView:
    """What corruptions cost: the conclusion, the extra losses drawn, and a row for each condition."""

    conclusion: str
    severities: str
    chart: plots.Chart
    axis: plots.Axis
    rows: list["ConditionRow"]


@dataclass(frozen=True)
class ConditionRow:
    """A corruption and severity with the places of its accuracies on the common axis, in percent of it."""

    of: CorruptedAccuracy
    stands_out: bool
    fp32_at: float
    int8_at: float


def render_html(report: Report) -> str:
    """Return the report as a complete HTML document."""
    accuracy, names = report.accuracy, report.subject.classes
    return render_page(
        "report.html.j2",
        report=report,
        mixed=mixed_words,
        beside=beside,
        pixels=isinstance(accuracy, PixelAccuracy),
        tiles=tiles(report),
        rates=rates(accuracy),
        drops=drop_chart(report),
        latencies=[
            (name, latency, plots.latency_plot(latency) if isinstance(latency, Latency) else None)
            for name, latency in (("FP32", report.latency_fp32), ("INT8", report.latency_int8))
        ],
        sizes=size_bars(report),
        robustness=None if report.robustness is None else robustness_view(report.robustness),
        **(
            pixel_page.content(accuracy, names)
            if isinstance(accuracy, PixelAccuracy)
            else image_page.content(accuracy, names)
        ),
    )


def tiles(report: Report) -> list[HeadlineFigure]:
    """Return the four figures everybody asks for first."""
    int8, sizes, (counted, rate) = report.latency_int8, report.sizes, report.accuracy.rates[0]
    if isinstance(int8, NotMeasured):
        latency = HeadlineFigure("INT8 latency, p50", figures.NOT_MEASURED, int8.reason)
        throughput = HeadlineFigure("INT8 throughput", figures.NOT_MEASURED, int8.reason)
    else:
        note = f"on {int8.origin}{', noisy' if int8.noisy else ''}"
        if report.speed is not None:
            note = f"{1 / report.speed.ratio:.2f} times as fast as FP32, {note}"
        latency = HeadlineFigure("INT8 latency, p50", figures.milliseconds(int8.p50.ms), note)
        speed = figures.significant(int8.throughput_per_s)
        throughput = HeadlineFigure(
            "INT8 throughput", f"{speed} /s", f"images, batch {int8.batch}, on {int8.origin}"
        )
    return [
        HeadlineFigure(f"INT8 {counted}", figures.percent(rate.int8), f"FP32 {figures.percent(rate.fp32)}"),
        latency,
        throughput,
        HeadlineFigure("Engine", figures.size(sizes.engine), f"FP32 ONNX {figures.size(sizes.model)}"),
    ]


def drop_chart(report: Report) -> plots.Chart:
    """Place the drops, zero and the gate's limit on one axis."""
    limit = next((gate.limit for gate in report.gates if gate.name == "max_drop"), None)
    drops: dict[str, plots.Estimate | None] = {
        name: (rate.drop_points, rate.drop_interval) for name, rate in rates(report.accuracy)
    }
    return plots.chart("Drop from FP32 to INT8", "points", drops, figures.points, limit)


def rates(accuracy: Accuracy | PixelAccuracy) -> tuple[tuple[str, PairedRate | PairedScore], ...]:
    """Return the rates with their names: those that are judged, and top-5 or IoU where that says anything."""
    if isinstance(accuracy, PixelAccuracy):
        name = "mean IoU of an image" if accuracy.labelled else "IoU with FP32's classes"
        return (accuracy.rates[0], (name, accuracy.iou))
    return (*accuracy.rates, *((("top-5", accuracy.top5),) if accuracy.top5 is not None else ()))


def size_bars(report: Report) -> list[tuple[str, str, float]]:
    """Return name, size and length in percent of the longest, for every file."""
    sizes = report.sizes
    named = [("FP32 ONNX", sizes.model), ("INT8 ONNX", sizes.int8_model)]
    if sizes.engine is not None:
        named.append(("Engine", sizes.engine))
    longest = max(size for _, size in named)
    return [(name, figures.size(size), round(100 * size / longest, 2)) for name, size in named]


def robustness_view(found: Robustness) -> RobustnessView:
    """Draw what corruptions cost."""
    drawn: dict[str, plots.Estimate | None] = {
        name: (extra.points, extra.interval) for name, extra in found.by_corruption
    }
    title = "What INT8 loses more than FP32 from clean to corrupted"
    axis = plots.Axis(0.0, 1.0)
    rows = [
        ConditionRow(one, stands_out(one), axis.at(one.top1.fp32), axis.at(one.top1.int8))
        for one in found.corrupted
    ]
    chart = plots.chart(title, "points", drawn, figures.points)
    return RobustnessView(conclusion(found), severities(found), chart, axis, rows)
