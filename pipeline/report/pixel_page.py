"""What a report shows of images whose pixels were classified: each class, and the images that lost most."""

from dataclasses import dataclass

from pipeline.report import figures
from pipeline.report.model.pixels import PixelAccuracy, PixelClass

CLASS_ROWS = 40


@dataclass(frozen=True)
class PixelClassRow:
    """A class of pixels with its intersections over union in percent, which are their places on the axis."""

    name: str
    pixels: int
    fp32_at: float
    int8_at: float


def content(accuracy: PixelAccuracy, names: tuple[str, ...]) -> dict[str, object]:
    """Return what the templates `pixels` and `pixel_classes` need."""
    rows = class_rows(accuracy, names)
    return {
        "headline": headline(accuracy),
        "classes": rows[:CLASS_ROWS],
        "shortened": len(rows) > CLASS_ROWS,
    }


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
