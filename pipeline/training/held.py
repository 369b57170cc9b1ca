"""Training images, decoded once and kept in memory."""

import numpy as np
import torch
from torch import Tensor

from pipeline.data.split import Sample, Split, log_damaged
from pipeline.errors import DataError
from pipeline.models.model import Model
from pipeline.progress import Progress

HELD_LIMIT = 8 * 2**30
"""The most bytes of decoded training images."""


class DamagedPictures:
    """Counts the damaged pictures of a role that is decoded in parts."""

    def __init__(self, role: Split) -> None:
        self._role = role
        self._found: list[tuple[str, str]] = []

    def __call__(self, sample: Sample, reason: str) -> None:
        """Log a picture that is left out. Raises DataError as soon as they are too many of the whole role."""
        log_damaged(sample, reason)
        self._found.append((sample.name, reason))
        self._role.refuse_if_too_many(self._found)


def held_in_memory(
    split: Split, model: Model, progress: Progress, damaged: DamagedPictures | None = None
) -> tuple[Tensor, Tensor]:
    """Decode a whole split: uint8 [N, H, W, C], int64 [N]. Raises DataError if that is too large."""
    size = len(split) * int(np.prod(model.input_shape))
    if size > HELD_LIMIT:
        raise DataError(
            f"{len(split)} training images of {model.name} take {size / 2**30:.1f} GiB decoded; at most"
            f" {HELD_LIMIT / 2**30:.0f} GiB are held. Train on fewer, or elsewhere, and bring the checkpoint."
        )
    damaged = damaged or DamagedPictures(split)
    images = torch.empty((len(split), *model.input_shape), dtype=torch.uint8)
    labels = torch.empty(len(split), dtype=torch.int64)
    held = 0
    with progress.task("decode", len(split)) as advance:
        for batch in split.batches(model.preprocessing, 256, damaged, damaged_share=1.0):
            n = len(batch.labels)
            images[held : held + n] = torch.from_numpy(batch.images)
            labels[held : held + n] = torch.from_numpy(batch.labels)
            held += n
            advance(n)
    if held < 2:
        raise DataError(f"There are {held} training images; batch normalisation needs at least two.")
    return images[:held], labels[:held]
