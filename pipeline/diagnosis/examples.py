"""Labelled images: a class for each image, or a class for each pixel."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.data.images import HasMasks
from pipeline.data.split import Split
from pipeline.diagnosis.outcomes import ImageOutcome, PixelOutcome, TrialOutcome
from pipeline.report.overlap import at_size, confusion, image_iou
from targets.runtime.preprocess import VOID, Preprocessing

BATCH = 32
IMAGES, IMAGES_WITH_MASKS = 200, 64
"""The most images to try on, stratified by class. A mask tells more than a label, and takes longer."""

Answers = NDArray[np.int64]
"""The class of each image [N], or of each pixel [N, h, w]."""
Pixels = NDArray[np.uint8]
Outcome = TypeVar("Outcome", bound=TrialOutcome)


class LabelledExamples(ABC, Generic[Outcome]):
    """Images whose right answers are known. Outcomes of the same images are of one kind."""

    @abstractmethod
    def outcome(self, answers: Answers) -> Outcome:
        """Return how well the network answers."""

    def shown_better(self, answers: Answers, than: Answers) -> bool:
        """Return whether the answers are shown to be better than guesses, and better than other answers."""
        found = self.outcome(answers)
        return found.knows() and found.shown_better(self.outcome(than))


@dataclass(frozen=True)
class LabelledImages(LabelledExamples[ImageOutcome]):
    """Images with one class each; labels: int64 [N]."""

    pixels: Pixels
    labels: Answers
    classes: int

    def outcome(self, answers: Answers) -> ImageOutcome:
        """Return which images are right."""
        return ImageOutcome(answers == self.labels, self.labels, self.classes)

    def confusion(self, answers: Answers) -> NDArray[np.int64]:
        """Count images."""
        return confusion(answers, self.labels, self.classes)

    def halves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take every second image of each class."""
        place = np.zeros(len(self.labels), np.int64)
        for label in np.unique(self.labels):
            there = np.flatnonzero(self.labels == label)
            place[there] = np.arange(len(there))
        return place % 2 == 0, place % 2 == 1

    def only(self, chosen: NDArray[np.bool_]) -> "LabelledImages":
        """Return the chosen ones of the images."""
        return LabelledImages(self.pixels[chosen], self.labels[chosen], self.classes)


@dataclass(frozen=True)
class LabelledPixels(LabelledExamples[PixelOutcome]):
    """Images with a class for every pixel; masks: uint8 [N, H, W], VOID where there is none."""

    pixels: Pixels
    masks: NDArray[np.uint8]
    classes: int

    def outcome(self, answers: Answers) -> PixelOutcome:
        """Return shares of right pixels and IoU, beside those of always saying the most frequent class."""
        counts = np.stack([confusion(truth, said, self.classes) for truth, said in self._both(answers)])
        there = counts.sum(2)  # [N, classes]
        total = np.where(there.any(1), there.sum(1), np.nan)
        guess = there[:, there.sum(0).argmax()] / total
        return PixelOutcome(
            right=np.trace(counts, axis1=1, axis2=2) / total,
            iou=np.array([image_iou(count) for count in counts]),
            guess_right=guess,
            guess_iou=guess / np.maximum(1, (there > 0).sum(1)),
        )

    def confusion(self, answers: Answers) -> NDArray[np.int64]:
        """Count pixels."""
        counts = (confusion(said, truth, self.classes) for truth, said in self._both(answers))
        return np.asarray(sum(counts, np.zeros((self.classes, self.classes), np.int64)))

    def halves(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Take every second image."""
        place = np.arange(len(self.pixels))
        return place % 2 == 0, place % 2 == 1

    def only(self, chosen: NDArray[np.bool_]) -> "LabelledPixels":
        """Return the chosen ones of the images."""
        return LabelledPixels(self.pixels[chosen], self.masks[chosen], self.classes)

    def _both(self, answers: Answers) -> list[tuple[Answers, Answers]]:
        """Return, for each image, the classes of its labelled pixels in the mask and in the answer."""
        truths = [at_size(mask, answers.shape[1:]).astype(np.int64) for mask in self.masks]
        return [
            (truth[truth != VOID], said[truth != VOID]) for truth, said in zip(truths, answers, strict=True)
        ]


Examples = LabelledImages | LabelledPixels
"""Images that a network is tried on."""


def examples(split: Split, preprocessing: Preprocessing) -> Examples:
    """Read the readable images of a split, with their masks if it has them."""
    batches = list(split.readable(preprocessing, BATCH))
    pixels, classes = np.concatenate([batch.images for batch in batches]), len(split.classes)
    masks = [batch.masks for batch in batches if batch.masks is not None]
    if masks:
        return LabelledPixels(pixels, np.concatenate(masks), classes)
    return LabelledImages(pixels, np.concatenate([batch.labels for batch in batches]), classes)


def few(split: Split, images: int | None = None) -> Split:
    """Return the images to try on: the given number, or the usual one."""
    usual = IMAGES_WITH_MASKS if isinstance(split.images, HasMasks) else IMAGES
    return split.stratified(min(images or usual, len(split)))
