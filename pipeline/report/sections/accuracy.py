"""Accuracy of a network that classifies images: FP32 and INT8 on the same labelled images."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import RenderableType

from pipeline.report import figures, paired_words
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.section import ComparedFigure, HeadlineFigure, ReportSection
from pipeline.report.table import FigureTable


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
