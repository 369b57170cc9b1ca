"""How well a network answers, and whether that is better than another way, or than guessing."""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.report.model.certainty import Verdict
from pipeline.report.model.input_diagnosis import PixelShares
from pipeline.report.paired import paired_scores
from pipeline.report.plausibility import judge_answers, judge_pixels
from pipeline.report.stats import difference_interval, mean_interval
from targets.base import Origin
from targets.runtime.paired_difference import LEVEL

Shares = NDArray[np.float64]


class TrialOutcome(Protocol):
    """The result of trying a network on some images."""

    @property
    def right_images(self) -> int | None:
        """How many images are right; None where pixels are classified."""
        ...

    @property
    def pixel_shares(self) -> PixelShares | None:
        """The shares of right pixels; None where images are classified."""
        ...

    @property
    def mean(self) -> float:
        """The figure that is highest for the best outcome."""
        ...

    def knows(self) -> bool:
        """Whether it is shown to be better than guessing."""
        ...

    def shown_better(self, than: Self, comparisons: int = 1) -> bool:
        """Whether it is shown to be better on the same images, with Bonferroni's correction."""
        ...


@dataclass(frozen=True)
class ImageOutcome:
    """Which images [N] are right, their labels [N], and the number of classes."""

    right: NDArray[np.bool_]
    labels: NDArray[np.int64]
    classes: int
    pixel_shares: None = None

    @property
    def right_images(self) -> int:
        """How many images are right."""
        return int(self.right.sum())

    @property
    def mean(self) -> float:
        """The share of right images."""
        return float(self.right.mean())

    def knows(self) -> bool:
        """Whether top-1 is above that of guesses."""
        there, right = (
            np.bincount(labels, minlength=self.classes) for labels in (self.labels, self.labels[self.right])
        )
        return judge_answers(there, right, Origin.HOST).verdict is Verdict.PASS

    def shown_better(self, than: "ImageOutcome", comparisons: int = 1) -> bool:
        """Compare top-1 by Tango's interval."""
        won, lost = int((self.right & ~than.right).sum()), int((than.right & ~self.right).sum())
        return difference_interval(won, lost, len(self.right), corrected(comparisons)).low > 0


@dataclass(frozen=True)
class PixelOutcome:
    """Of each image [N], the share of right pixels and the mean IoU of its classes; the same for a guess.

    The guess is the class of most pixels, everywhere. All are NaN for an image without a labelled pixel.
    """

    right: Shares
    iou: Shares
    guess_right: Shares
    guess_iou: Shares
    right_images: None = None

    @property
    def pixel_shares(self) -> PixelShares:
        """The means over images."""
        return PixelShares(right=_mean(self.right), iou=_mean(self.iou))

    @property
    def mean(self) -> float:
        """The mean IoU of an image."""
        return _mean(self.iou)

    def knows(self) -> bool:
        """Whether right pixels or IoU are above those of the guess."""
        there = np.isfinite(self.right)
        if not there.any():
            return False
        right = paired_scores(self.guess_right[there], self.right[there])
        iou = paired_scores(self.guess_iou[there], self.iou[there])
        return judge_pixels(right, iou, Origin.HOST).verdict is Verdict.PASS

    def shown_better(self, than: "PixelOutcome", comparisons: int = 1) -> bool:
        """Compare IoU image by image."""
        gains = self.iou - than.iou
        return mean_interval(gains[np.isfinite(gains)], corrected(comparisons)).low > 0


def _mean(shares: Shares) -> float:
    there = shares[np.isfinite(shares)]
    return float(there.mean()) if len(there) else 0.0


def corrected(comparisons: int) -> float:
    """Return the level of each of a number of intervals at which all of them hold at LEVEL."""
    return 1 - (1 - LEVEL) / comparisons
