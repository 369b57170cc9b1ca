"""FP32 and INT8 on the same labelled images, clean and corrupted."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from pipeline.report.model.certainty import Interval
from pipeline.report.record import Base64, Record, Sha256
from targets.base import Origin


class PairedRate(Record):
    """How often FP32 and INT8 were right on the same images, and the drop from one to the other."""

    images: PositiveInt
    fp32_correct: NonNegativeInt
    int8_correct: NonNegativeInt
    worse: NonNegativeInt  # right in FP32, wrong in INT8
    better: NonNegativeInt  # wrong in FP32, right in INT8
    drop_points: float  # percentage points; negative when INT8 is better
    drop_interval: Interval  # Tango's score interval for paired proportions, percentage points
    mcnemar_p: float  # exact two-sided p of no difference

    @property
    def fp32(self) -> float:
        """Share of images FP32 got right."""
        return self.fp32_correct / self.images

    @property
    def int8(self) -> float:
        """Share of images INT8 got right."""
        return self.int8_correct / self.images

    @property
    def more_than_noise(self) -> bool:
        """Tell whether the change is shown: by the interval and by the exact test, which is the stricter."""
        low, high = self.drop_interval.low, self.drop_interval.high
        apart = low > 0 or (high is not None and high < 0)
        return apart and self.mcnemar_p < 1 - self.drop_interval.level

    @model_validator(mode="after")
    def _counts_agree(self) -> Self:
        if self.fp32_correct - self.int8_correct != self.worse - self.better:
            raise ValueError("fp32_correct - int8_correct must equal worse - better")
        return self


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


class ExtraLoss(Record):
    """How much more accuracy INT8 loses to corruption than FP32 does, from clean to corrupted images."""

    points: float  # drop FP32 to INT8 on corrupted images minus the drop on the same images clean
    interval: Interval  # percentage points
    p: float  # exact sign-flip test of no extra loss, two-sided


class CorruptedAccuracy(Record):
    """Accuracy under one camera corruption of one severity."""

    corruption: str
    severity: Annotated[int, Field(ge=1, le=5)]
    top1: PairedRate
    extra: ExtraLoss  # its interval holds for itself alone
    holm_p: float  # extra.p, corrected by Holm's method for all corruptions and severities together


class Robustness(Record):
    """FP32 and INT8 on the same images under camera corruptions, and on those images as they are."""

    fp32_origin: Origin
    int8_origin: Origin
    parameters: str  # whose table of severities: CIFAR-10-C or ImageNet-C
    seed: NonNegativeInt
    images_digest: Sha256  # Split.digest of the images
    clean: PairedRate
    fp32_loss_points: float  # of top-1, from clean to corrupted, mean of all corruptions and severities
    int8_loss_points: float
    extra: ExtraLoss  # of that mean
    by_corruption: tuple[tuple[str, ExtraLoss], ...]  # mean of its severities; intervals hold together
    corrupted: tuple[CorruptedAccuracy, ...]
