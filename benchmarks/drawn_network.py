"""A network with calibration images of one draw, for the comparison of calibration methods."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.metrics import logits
from calibration.prepare_float import Images
from pipeline.build.plan import Build
from pipeline.data.split import Split
from pipeline.task import Task

BATCH = 32


@dataclass(frozen=True)
class DrawnNetwork:
    """A network with the calibration images of one seed, and the evaluation images."""

    build: Build
    seed: int

    @cached_property
    def calibration(self) -> Images:
        """The calibration images, preprocessed."""
        return batches_of(self.build.calibration, self.build)

    @cached_property
    def evaluation(self) -> Images:
        """The evaluation images, preprocessed."""
        return batches_of(self.build.evaluation, self.build)

    @cached_property
    def reference(self) -> NDArray[np.float32]:
        """The float model's answers on the evaluation images."""
        return self.answers(self.model)

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """What the answers should be, int64 [answers]: the class of each image, or of each pixel.

        A pixel without a label has VOID, so that no answer is right there.
        """
        if self.build.model.task is Task.CLASSIFY:
            return self.build.evaluation.labels
        batches = self.build.evaluation.batches(self.build.model.preprocessing, BATCH)
        masks = [batch.masks for batch in batches]
        return np.concatenate([mask.ravel() for mask in masks if mask is not None]).astype(np.int64)

    def answers(self, model: Path) -> NDArray[np.float32]:
        """The logits of a model on the evaluation images, float32 [answers, classes]."""
        return by_answer(logits(model, self.evaluation()))

    @property
    def model(self) -> Path:
        """The float model."""
        return self.build.float_model.path

    @cached_property
    def digest(self) -> str:
        """Of the model and all images."""
        found = sha256(self.model.read_bytes())
        for images in (self.calibration, self.evaluation):
            for batch in images():
                found.update(batch.tobytes())
        return found.hexdigest()


def by_answer(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits of images [N, classes] or of pixels [N, classes, H, W] as [answers, classes]."""
    return np.moveaxis(found, 1, -1).reshape(-1, found.shape[1])


def batches_of(split: Split, build: Build) -> Images:
    """The images of a split, preprocessed once and kept: these data sets are small."""
    kept = [batch.images for batch in split.batches(build.model.preprocessing, BATCH)]
    return lambda: kept
