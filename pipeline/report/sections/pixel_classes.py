"""The accuracy of pixels in detail: by class, and the images that lost most."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.report.model.pixel_accuracy import PixelAccuracy, PixelClass
from pipeline.report.model.subject import Subject
from pipeline.report.section import ReportSection

CLASS_ROWS = 40


@dataclass(frozen=True)
class PixelClassRow:
    """A class of pixels with its intersections over union in percent, which are their places on the axis."""

    name: str
    pixels: int
    fp32_at: float
    int8_at: float


class ClassifiedPixels(Protocol):
    """What the section reads of report.json."""

    @property
    def accuracy(self) -> object:
        """Of images or of pixels."""
        ...

    @property
    def subject(self) -> Subject:
        """It has the names of the classes."""
        ...


class PixelClassSection(ReportSection[ClassifiedPixels]):
    """Each class of pixels, and the images that lost most."""

    name = "pixel_classes"

    def html(self, report: ClassifiedPixels) -> Mapping[str, object] | None:
        """Return the rows that are shown, and whether there are more."""
        accuracy = report.accuracy
        if not isinstance(accuracy, PixelAccuracy):
            return None
        rows = class_rows(accuracy, report.subject.classes)
        return {"accuracy": accuracy, "classes": rows[:CLASS_ROWS], "shortened": len(rows) > CLASS_ROWS}


def class_rows(accuracy: PixelAccuracy, names: tuple[str, ...]) -> list[PixelClassRow]:
    """Return the classes that are there: in their order, or those that lost most first if they are many."""
    present = [one for one in accuracy.per_class if one.fp32_iou is not None and one.int8_iou is not None]
    if len(present) > CLASS_ROWS:
        present.sort(key=_lost, reverse=True)
    return [
        PixelClassRow(names[one.label], one.pixels, 100 * (one.fp32_iou or 0.0), 100 * (one.int8_iou or 0.0))
        for one in present
    ]


def _lost(one: PixelClass) -> float:
    return (one.fp32_iou or 0.0) - (one.int8_iou or 0.0)
