"""Images that are not trained on and are evaluated after each epoch, for curves and early stopping."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from torch import nn

from pipeline.data.dataset import Dataset
from pipeline.data.split import DAMAGED_SHARE, Batch, Sample, Split, log_damaged
from pipeline.errors import DataError
from pipeline.models.zoo import KnownModel
from pipeline.training.judge import BATCH, judge_batches
from pipeline.training.settings import TrainConfig
from pipeline.training.training_run import EpochRecord, Watched


@dataclass(frozen=True)
class Watch:
    """Evaluates one split, which is decoded once and kept."""

    images: Literal["held_out", "evaluation"]
    split: Split
    model: KnownModel

    damaged: Callable[[Sample, str], None] = log_damaged
    """Called with each picture that is left out."""

    @cached_property
    def _batches(self) -> list[Batch]:
        share = DAMAGED_SHARE if self.damaged is log_damaged else 1.0
        return list(self.split.batches(self.model.preprocessing, BATCH, self.damaged, share))

    def decode(self) -> None:
        """Decode the images now, so that damaged ones are reported before the first epoch."""
        _ = self._batches

    def look(self, network: nn.Module) -> Watched:
        """Evaluate the network."""
        classes = len(self.split.classes)
        found = judge_batches(network, self.model, self._batches, classes, lambda _: None)
        return Watched(images=self.images, loss=found.loss, accuracy=found.accuracy)


def learned_and_watched(
    config: TrainConfig,
    dataset: Dataset,
    model: KnownModel,
    damaged: Callable[[Sample, str], None] = log_damaged,
) -> tuple[Split, Watch | None]:
    """Return the images to train on, and what to watch. Raises DataError if one of them would be empty."""
    whole = dataset.split("train")
    if config.images is not None:
        whole = whole.stratified(config.images, config.seed)
    if config.watch == "nothing":
        return whole, None
    if config.watch == "evaluation":
        seen = dataset.split("evaluation")
        seen = seen.stratified(config.watch_images) if config.watch_images else seen
        return whole, Watch("evaluation", seen, model)
    held = whole.stratified(max(1, round(config.hold_out * len(whole))), config.seed)
    taken = np.isin(whole.indices, held.indices)
    if taken.all():
        raise DataError(f"Holding out {config.hold_out:.0%} of {len(whole)} images leaves none to train on.")
    return whole.subset(np.flatnonzero(~taken)), Watch("held_out", held, model, damaged)


def best_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Return the first epoch with the lowest watched loss; None if nothing was watched."""
    watched = [(record.watched.loss, record.epoch) for record in history if record.watched is not None]
    return min(watched)[1] if watched else None


def out_of_patience(history: Sequence[EpochRecord], patience: int) -> bool:
    """Whether the watched loss has not improved for `patience` epochs; never if `patience` is 0."""
    best = best_epoch(history)
    return bool(patience) and best is not None and history[-1].epoch - best >= patience
