"""Accuracy of a network that classifies pixels: FP32 and INT8 on the pixels of the same images."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import RenderableType

from pipeline.report import figures, paired_words
from pipeline.report.model.gate import Gate
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.section import ComparedFigure, HeadlineFigure, ReportSection
from pipeline.report.table import FigureTable


class JudgedPixels(Protocol):
    """What the section reads of report.json."""

    @property
    def accuracy(self) -> object:
        """Of images or of pixels."""
        ...

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The limit on the drop is among them."""
        ...


class PixelSection(ReportSection[JudgedPixels]):
    """Shares of right pixels, IoU, and how alike the logits are. Empty where images were classified."""

    name = "pixels"

    def html(self, report: JudgedPixels) -> Mapping[str, object] | None:
        """Return the accuracy, its shares, and the drops drawn."""
        found = report.accuracy
        if not isinstance(found, PixelAccuracy):
            return None
        name = "mean IoU of an image" if found.labelled else "IoU with FP32's classes"
        rates = (found.rates[0], (name, found.iou))
        return {
            "accuracy": found,
            "rates": rates,
            "drops": paired_words.drop_chart(rates, report.gates),
        }

    def terminal(self, report: JudgedPixels) -> Iterator[RenderableType]:
        """Yield the shares, and how alike the networks are."""
        if isinstance(report.accuracy, PixelAccuracy):
            yield _share_table(report.accuracy)
            yield _likeness(report.accuracy)

    def markdown_rows(self, report: JudgedPixels) -> Iterator[ComparedFigure]:
        """Yield what is judged."""
        if isinstance(report.accuracy, PixelAccuracy):
            yield from paired_words.rows(report.accuracy.rates)

    def html_lead(self, report: JudgedPixels) -> Iterator[str]:
        """Yield what quantisation did to pixels."""
        if isinstance(report.accuracy, PixelAccuracy):
            yield headline(report.accuracy)

    def markdown_lead(self, report: JudgedPixels) -> Iterator[str]:
        """Yield the drop."""
        if isinstance(report.accuracy, PixelAccuracy):
            yield paired_words.drop_sentence(report.accuracy.pixels)

    def tiles(self, report: JudgedPixels) -> Iterator[HeadlineFigure]:
        """Yield INT8's share of right pixels."""
        if isinstance(report.accuracy, PixelAccuracy):
            yield paired_words.tile(*report.accuracy.rates[0])

    def methods(self, report: JudgedPixels) -> Iterator[str]:
        """Yield what interval the drop has."""
        if isinstance(report.accuracy, PixelAccuracy):
            yield (
                "The drop's interval is for the mean over images, paired, and what gates go by: Wald's after"
                " adding an image that becomes all right and one that becomes all wrong, as Bonett & Price do"
                " for proportions."
            )


def headline(accuracy: PixelAccuracy) -> str:
    """Say in one sentence what quantisation did to the classes of pixels."""
    score = accuracy.pixels
    images = figures.plural(score.images, "image")
    high = score.drop_interval.high
    assert high is not None  # noqa: S101 - the interval of a mean is bounded
    between = f"between {score.drop_interval.low:.2f} and {high:.2f} points"
    if not accuracy.labelled:
        return (
            f"INT8 gives {figures.percent(score.int8)} of the pixels of {images} the class that FP32 gives"
            f" them. There are no masks: whatever the right classes are, with 95 % confidence the share of"
            f" right pixels falls by no more than {high:.2f} points."
        )
    lost = round(score.drop_points, 2)
    change = "loses" if lost > 0 else "gains" if lost < 0 else "keeps"
    amount = "all" if change == "keeps" else f"{abs(lost):.2f} points"
    return (
        f"INT8 {change} {amount} of right pixels on {images}: {figures.percent(score.fp32)} becomes"
        f" {figures.percent(score.int8)}, and a mean IoU of {figures.percent(accuracy.fp32_mean_iou)} becomes"
        f" {figures.percent(accuracy.int8_mean_iou)}. With 95 % confidence the true drop of right pixels lies"
        f" {between}."
    )


def _share_table(accuracy: PixelAccuracy) -> FigureTable:
    against = "masks" if accuracy.labelled else "FP32's classes: there are no masks"
    table = FigureTable("Pixels", "FP32", "INT8", "drop, points", caption=f"against {against}")
    iou = "mean IoU of an image" if accuracy.labelled else "IoU with FP32"
    for name, rate in ((accuracy.rates[0][0], accuracy.pixels), (iou, accuracy.iou)):
        table.add_row(name, figures.percent(rate.fp32), figures.percent(rate.int8), paired_words.drop(rate))
    pooled = accuracy.fp32_mean_iou, accuracy.int8_mean_iou
    drop = figures.points(100 * (pooled[0] - pooled[1]))
    table.add_row("mean IoU, all images", *map(figures.percent, pooled), drop)
    return table


def _likeness(accuracy: PixelAccuracy) -> FigureTable:
    origins = f"FP32 measured on {accuracy.fp32_origin}, INT8 on {accuracy.int8_origin}; 95 % intervals"
    table = FigureTable("INT8 against FP32", "", caption=origins)
    table.add_row("same class", f"{figures.percent(accuracy.agreement)} of pixels")
    table.add_row("logits", f"SQNR {figures.decibels(accuracy.sqnr_db)}")
    return table
