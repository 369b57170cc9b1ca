"""Accuracy of a network that classifies images: FP32 and INT8 on the same labelled images."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pydantic import NonNegativeInt
from rich.console import RenderableType

from pipeline.report import figures, paired_words
from pipeline.report.model.certainty import Interval
from pipeline.report.model.gate import Gate
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.record import Base64, Record
from pipeline.report.section import ComparedFigure, HeadlineFigure, ReportSection
from pipeline.report.table import FigureTable
from targets.base import Origin


class ClassAccuracy(Record):
    """One class: its images and how many each network got right."""

    label: NonNegativeInt  # index into Subject.classes
    images: NonNegativeInt
    fp32_correct: NonNegativeInt
    int8_correct: NonNegativeInt
    worse: NonNegativeInt
    better: NonNegativeInt


class NegativeFlip(Record):
    """An image FP32 got right and INT8 gets wrong."""

    name: str
    label: NonNegativeInt
    int8_prediction: NonNegativeInt
    fp32_margin: float  # FP32 probability of the label minus that of what INT8 chose: large is alarming
    thumbnail_png: Base64 | None = None


class Accuracy(Record):
    """FP32 and INT8 on the same labelled images."""

    fp32_origin: Origin
    int8_origin: Origin
    top1: PairedRate
    top5: PairedRate | None  # None: with five classes or fewer it says nothing
    agreement: float  # share of images with the same top-1, right or wrong
    agreement_interval: Interval  # Wilson
    kl_nats: float  # mean KL(softmax FP32 || softmax INT8)
    sqnr_db: float | None  # 10 log10(sum fp32^2 / sum (fp32 - int8)^2) over all logits; None: identical
    per_class: tuple[ClassAccuracy, ...]
    confusion: tuple[
        tuple[int, int, int, int], ...
    ]  # (label, prediction, FP32 count, INT8 count), not both zero
    negative_flips: tuple[NegativeFlip, ...]  # largest FP32 margin first
    fp32_right: Base64  # one bit an image in evaluation order, the first the highest: is top-1 right?
    int8_right: Base64  # the same; lets a later build be compared with this one image by image

    @property
    def rates(self) -> tuple[tuple[str, PairedRate], ...]:
        """Return what a limit on the drop holds for, with its name."""
        return (("top-1", self.top1),)


class JudgedAccuracy(Protocol):
    """What the section reads of report.json."""

    @property
    def accuracy(self) -> object:
        """Of images or of pixels."""
        ...

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The limit on the drop is among them."""
        ...


class AccuracySection(ReportSection[JudgedAccuracy]):
    """The rates, the drop between them, and how alike the logits are. Empty where pixels were classified."""

    name = "accuracy"

    def html(self, report: JudgedAccuracy) -> Mapping[str, object] | None:
        """Return the accuracy, its rates with top-5 where that says anything, and the drops drawn."""
        found = report.accuracy
        if not isinstance(found, Accuracy):
            return None
        rates = _all_rates(found)
        return {
            "accuracy": found,
            "rates": rates,
            "drops": paired_words.drop_chart(rates, report.gates),
        }

    def terminal(self, report: JudgedAccuracy) -> Iterator[RenderableType]:
        """Yield the rates, and how alike the networks are."""
        if isinstance(report.accuracy, Accuracy):
            yield _rate_table(report.accuracy)
            yield _likeness(report.accuracy)

    def markdown_rows(self, report: JudgedAccuracy) -> Iterator[ComparedFigure]:
        """Yield what is judged."""
        if isinstance(report.accuracy, Accuracy):
            yield from paired_words.rows(report.accuracy.rates)

    def html_lead(self, report: JudgedAccuracy) -> Iterator[str]:
        """Yield what quantisation did to top-1."""
        if isinstance(report.accuracy, Accuracy):
            yield headline(report.accuracy.top1)

    def markdown_lead(self, report: JudgedAccuracy) -> Iterator[str]:
        """Yield the drop."""
        if isinstance(report.accuracy, Accuracy):
            yield paired_words.drop_sentence(report.accuracy.top1)

    def tiles(self, report: JudgedAccuracy) -> Iterator[HeadlineFigure]:
        """Yield INT8's top-1."""
        if isinstance(report.accuracy, Accuracy):
            yield paired_words.tile(*report.accuracy.rates[0])

    def methods(self, report: JudgedAccuracy) -> Iterator[str]:
        """Yield what interval the drop has, and what the exact test is for."""
        if isinstance(report.accuracy, Accuracy):
            yield (
                "The drop's interval is Tango's score interval for paired proportions, and what gates go by;"
                " McNemar's exact test, stricter where few images flipped, only says whether there is a"
                " change at all."
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


def _all_rates(accuracy: Accuracy) -> paired_words.Named:
    return (*accuracy.rates, *((("top-5", accuracy.top5),) if accuracy.top5 is not None else ()))


def _rate_table(accuracy: Accuracy) -> FigureTable:
    table = FigureTable("Accuracy", "FP32", "INT8", "drop, points")
    for name, rate in _all_rates(accuracy):
        table.add_row(name, figures.percent(rate.fp32), figures.percent(rate.int8), paired_words.drop(rate))
    return table


def _likeness(accuracy: Accuracy) -> FigureTable:
    origins = f"FP32 measured on {accuracy.fp32_origin}, INT8 on {accuracy.int8_origin}; 95 % intervals"
    table = FigureTable("INT8 against FP32", "", caption=origins)
    same = figures.interval(accuracy.agreement_interval.scaled(100))
    table.add_row("same top-1", f"{figures.percent(accuracy.agreement)} of images {same}")
    flips = f"{figures.count(accuracy.top1.worse)} worse, {figures.count(accuracy.top1.better)} better"
    table.add_row(
        "images flipped", f"{flips}, McNemar's exact p {figures.probability(accuracy.top1.mcnemar_p)}"
    )
    table.add_row("logits", f"KL {accuracy.kl_nats:.4f} nats, SQNR {figures.decibels(accuracy.sqnr_db)}")
    return table
