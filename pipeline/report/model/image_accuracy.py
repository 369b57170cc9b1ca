"""What report.json says of a network that classifies images: FP32 and INT8 on the same labelled images."""

from pydantic import NonNegativeInt

from pipeline.report.model.certainty import Interval
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.record import Base64, Record
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
