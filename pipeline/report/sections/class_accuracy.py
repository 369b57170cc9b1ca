"""The accuracy of images in detail: by class, by confusion, and the images that flipped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.report import plots
from pipeline.report.model.image_accuracy import Accuracy, ClassAccuracy, NegativeFlip
from pipeline.report.model.subject import Subject
from pipeline.report.section import ReportSection

MATRIX_CLASSES = 24  # a larger confusion matrix is shown as its most frequent confusions
CLASS_ROWS = 40
CONFUSION_ROWS = 30
NAMED_FLIPS = 100  # a list of thousands makes the page slow to open and to read aloud; report.json has all


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
class Cell:
    """One cell of the confusion matrix."""

    label: str
    prediction: str
    fp32: int
    int8: int
    right: bool
    shade: float  # 0 to 1, of the largest wrong cell


class ClassifiedImages(Protocol):
    """What the section reads of report.json."""

    @property
    def accuracy(self) -> object:
        """Of images or of pixels."""
        ...

    @property
    def subject(self) -> Subject:
        """It has the names of the classes."""
        ...


class ClassAccuracySection(ReportSection[ClassifiedImages]):
    """Each class, what it is confused with, and the images that FP32 alone gets right."""

    name = "class_accuracy"

    def html(self, report: ClassifiedImages) -> Mapping[str, object] | None:
        """Return rows, the confusion matrix or the most frequent confusions, and the images."""
        accuracy, names = report.accuracy, report.subject.classes
        if not isinstance(accuracy, Accuracy):
            return None
        unpictured = [flip for flip in accuracy.negative_flips if not flip.thumbnail_png]
        return {
            "accuracy": accuracy,
            "subject": report.subject,
            "classes": class_rows(accuracy, names),
            "class_axis": class_axis(accuracy),
            "matrix": matrix(accuracy, names) if len(names) <= MATRIX_CLASSES else None,
            "confusions": frequent_confusions(accuracy, names),
            "pictured": [flip for flip in accuracy.negative_flips if flip.thumbnail_png],
            "named": unpictured[:NAMED_FLIPS],
            "unnamed": len(unpictured[NAMED_FLIPS:]),
            "flip_words": lambda flip: flip_words(flip, names),
        }


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
