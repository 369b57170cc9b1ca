"""What report.json says of accuracy under camera corruptions."""

from typing import Annotated

from pydantic import Field, NonNegativeInt

from pipeline.report.model.certainty import Interval
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.record import Record, Sha256
from targets.base import Origin


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
