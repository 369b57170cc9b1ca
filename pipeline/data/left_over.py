"""Labelled images that are not used for calibration or evaluation."""

from dataclasses import replace

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.data.joined import JoinedImages
from pipeline.data.split import Split
from pipeline.errors import DataError


def left_over(dataset: Dataset, drawn: Split) -> Split:
    """Return the calibration images except for those `drawn`, or else the training images.

    None of them is an evaluation image. Raises DataError if there are none.
    """
    whole, taken = dataset.split("calibration"), set(drawn.indices.tolist())
    rest = whole.subset([i for i, index in enumerate(whole.indices.tolist()) if index not in taken])
    if not len(rest) and dataset.has("train"):
        rest = dataset.split("train")
    if not len(rest):
        raise DataError(
            f"All {len(whole)} calibration images are calibrated with, and others are needed too: labelled,"
            " and not for evaluation. Lower calibration.images or add some."
        )
    return rest


def filled_up(drawn: Split, dataset: Dataset, count: int, seed: int) -> Split:
    """Return `drawn` and training images, `count` together if there are enough.

    They serve calibration equally well: ranges depend neither on labels nor on accuracy.
    """
    lacking = count - len(drawn)
    if lacking <= 0 or not dataset.has("train"):
        return drawn
    more = dataset.split("train").stratified(lacking, seed)
    if more.images is drawn.images:
        return replace(drawn, indices=np.sort(np.concatenate([drawn.indices, more.indices])))
    images = JoinedImages(drawn.images, more.images)
    indices = np.concatenate([drawn.indices, more.indices + len(drawn.images.labels)])
    return replace(drawn, images=images, indices=indices)
