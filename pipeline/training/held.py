"""Training images, decoded once and kept in memory."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.data.split import Sample, Split, log_damaged
from pipeline.errors import DataError
from pipeline.models.model import Model
from pipeline.progress import Progress
from pipeline.training.processes import Processes

HELD_LIMIT = 8 * 2**30
"""The most bytes of decoded training images."""


@dataclass(frozen=True)
class HeldImages:
    """The training images of one part of the batches: uint8 [N, H, W, C], int64 [N]."""

    images: Tensor
    labels: Tensor
    part: int = 0


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

    def refuse_if_too_many(self, processes: Processes) -> None:
        """Raise DataError if all processes together have found too many."""
        told = processes.told(self._found)
        self._role.refuse_if_too_many([one for found in told for one in found])


def held_in_memory(
    split: Split, model: Model, progress: Progress, damaged: DamagedPictures | None = None, part: int = 0
) -> HeldImages:
    """Decode a whole split. Raises DataError if that is too large."""
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
    return HeldImages(images[:held], labels[:held], part)
