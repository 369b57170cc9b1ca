"""FP32 and INT8 on the same images: a rate or a score of each, and the drop from one to the other."""

from typing import Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from pipeline.report.model.certainty import Interval
from pipeline.report.record import Record


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


class PairedScore(Record):
    """How well FP32 and INT8 did on the same images, in shares of each image, and the drop between them."""

    images: PositiveInt
    fp32: float  # mean over images of a share in [0, 1]
    int8: float
    drop_points: float  # percentage points; negative when INT8 is better
    drop_interval: Interval  # adjusted Wald's over images, percentage points
    change_sd: float  # standard deviation of the drop of an image, percentage points
