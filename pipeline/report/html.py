"""A report as one HTML file: no script, no request; light and dark, for phone and desktop."""

from dataclasses import dataclass

from pipeline.report import figures, mixed, plots
from pipeline.report.model import (
    Accuracy,
    ClassAccuracy,
    CorruptedAccuracy,
    Latency,
    NegativeFlip,
    NotMeasured,
    PairedRate,
    Report,
    Robustness,
)
from pipeline.report.page import render_page
from pipeline.report.robustness import conclusion, severities, stands_out

MATRIX_CLASSES = 24  # a larger confusion matrix is shown as its most frequent confusions
CLASS_ROWS = 40
CONFUSION_ROWS = 30


@dataclass(frozen=True)
class Tile:
    """One headline figure."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class ClassRow:
    """A class with the places of its accuracies on the common axis, in percent of it."""

    name: str
    counts: ClassAccuracy
    fp32: float
    int8: float
    fp32_at: float
    int8_at: float


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


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix."""

    label: str
    prediction: str
    fp32: int
    int8: int
    right: bool
    shade: float  # 0 to 1, of the largest wrong cell


def render_html(report: Report) -> str:
    """Return the report as a complete HTML document."""
    accuracy, subject = report.accuracy, report.subject
    return render_page(
        "report.html.j2",
        report=report,
        mixed=mixed,
        headline=headline(accuracy.top1),
        tiles=tiles(report),
        rates=rates(accuracy),
        drops=drop_chart(report),
        latencies=[
            (name, latency, plots.latency_plot(latency) if isinstance(latency, Latency) else None)
            for name, latency in (("FP32", report.latency_fp32), ("INT8", report.latency_int8))
        ],
        sizes=size_bars(report),
        classes=class_rows(accuracy, subject.classes),
        class_axis=class_axis(accuracy),
        matrix=matrix(accuracy, subject.classes) if len(subject.classes) <= MATRIX_CLASSES else None,
        confusions=frequent_confusions(accuracy, subject.classes),
        pictured=[flip for flip in accuracy.negative_flips if flip.thumbnail_png],
        unpictured=[flip for flip in accuracy.negative_flips if not flip.thumbnail_png],
        flip_words=lambda flip: flip_words(flip, subject.classes),
        robustness=None if report.robustness is None else robustness_view(report.robustness),
    )


def headline(top1: PairedRate) -> str:
    """Say in one sentence what quantisation did to top-1."""
    change = "loses" if top1.drop_points > 0 else "gains" if top1.drop_points < 0 else "keeps"
    amount = "all" if change == "keeps" else f"{abs(top1.drop_points):.2f} points"
    high = top1.drop_interval.high
    assert high is not None  # noqa: S101 - a difference of proportions is bounded
    return (
        f"INT8 {change} {amount} of top-1 on {figures.plural(top1.images, 'image')}: "
        f"{figures.percent(top1.fp32)} becomes {figures.percent(top1.int8)}. "
        f"With 95 % confidence the true drop lies between {top1.drop_interval.low:.2f} and {high:.2f} points."
    )


def tiles(report: Report) -> list[Tile]:
    """Return the four figures everybody asks for first."""
    int8, sizes, top1 = report.latency_int8, report.sizes, report.accuracy.top1
    if isinstance(int8, NotMeasured):
        latency = Tile("INT8 latency, p50", figures.NOT_MEASURED, int8.reason)
        throughput = Tile("INT8 throughput", figures.NOT_MEASURED, int8.reason)
    else:
        note = f"on {int8.origin}{', noisy' if int8.noisy else ''}"
        if report.speed is not None:
            note = f"{1 / report.speed.ratio:.2f} times as fast as FP32, {note}"
        latency = Tile("INT8 latency, p50", figures.milliseconds(int8.p50.ms), note)
        rate = figures.significant(int8.throughput_per_s)
        throughput = Tile("INT8 throughput", f"{rate} /s", f"images, batch {int8.batch}, on {int8.origin}")
    return [
        Tile("INT8 top-1", figures.percent(top1.int8), f"FP32 {figures.percent(top1.fp32)}"),
        latency,
        throughput,
        Tile("Engine", figures.size(sizes.engine), f"FP32 ONNX {figures.size(sizes.model)}"),
    ]


def drop_chart(report: Report) -> plots.Chart:
    """Place the drops of top-1 and top-5, zero and the gate's limit on one axis."""
    limit = next((gate.limit for gate in report.gates if gate.name == "max_drop"), None)
    drops: dict[str, plots.Estimate | None] = {
        name: (rate.drop_points, rate.drop_interval) for name, rate in rates(report.accuracy)
    }
    return plots.chart("Drop from FP32 to INT8", "points", drops, figures.points, limit)


def rates(accuracy: Accuracy) -> list[tuple[str, PairedRate]]:
    """Return top-1 and, where it says something, top-5."""
    return [("top-1", accuracy.top1), *([("top-5", accuracy.top5)] if accuracy.top5 is not None else [])]


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


def class_axis(accuracy: Accuracy) -> plots.Axis:
    """Return the axis of the classes' accuracies, in percent: down to the worst, in steps of ten."""
    worst = min(
        (min(c.fp32_correct, c.int8_correct) / c.images for c in accuracy.per_class if c.images), default=0.0
    )
    return plots.Axis(10.0 * max(0, int(10 * worst - 1e-9)), 100.0)


def class_rows(accuracy: Accuracy, names: tuple[str, ...]) -> list[ClassRow]:
    """Return the classes that have images: all in their order, or the most changed if there are too many."""
    axis = class_axis(accuracy)
    present = [c for c in accuracy.per_class if c.images]
    if len(present) > CLASS_ROWS:
        present = sorted(present, key=lambda c: (-(c.worse - c.better) / c.images, c.label))[:CLASS_ROWS]
    rows = []
    for counts in present:
        fp32, int8 = (100 * n / counts.images for n in (counts.fp32_correct, counts.int8_correct))
        rows.append(ClassRow(names[counts.label], counts, fp32, int8, axis.at(fp32), axis.at(int8)))
    return rows


def matrix(accuracy: Accuracy, names: tuple[str, ...]) -> list[list[Cell]]:
    """Return the whole confusion matrix, a row for each label."""
    counts = {(label, prediction): (fp32, int8) for label, prediction, fp32, int8 in accuracy.confusion}
    wrong = [int8 for (label, prediction), (_, int8) in counts.items() if label != prediction]
    largest = max(wrong, default=0) or 1
    rows = []
    for i, label in enumerate(names):
        row = []
        for j, prediction in enumerate(names):
            fp32, int8 = counts.get((i, j), (0, 0))
            shade = 0.0 if i == j else round(int8 / largest, 3)
            row.append(Cell(label, prediction, fp32, int8, i == j, shade))
        rows.append(row)
    return rows


def frequent_confusions(accuracy: Accuracy, names: tuple[str, ...]) -> list[Cell]:
    """Return the wrong cells INT8 fills most, the fullest first."""
    wrong = [c for c in accuracy.confusion if c[0] != c[1] and c[3]]
    fullest = sorted(wrong, key=lambda c: (-c[3], c[0], c[1]))[:CONFUSION_ROWS]
    largest = max((c[3] for c in fullest), default=1)
    return [
        Cell(names[i], names[j], fp32, int8, right=False, shade=round(int8 / largest, 3))
        for i, j, fp32, int8 in fullest
    ]


def flip_words(flip: NegativeFlip, names: tuple[str, ...]) -> str:
    """Say what an image is and what INT8 makes of it."""
    return f"{names[flip.label]}, INT8 says {names[flip.int8_prediction]}"
