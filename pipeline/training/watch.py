"""Images that are not learned from, and looked at after each epoch: for curves, and to stop in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from pipeline.data.dataset import Dataset
from pipeline.data.split import Split
from pipeline.errors import DataError
from pipeline.models.zoo import KnownModel
from pipeline.training.config import TrainConfig
from pipeline.training.judge import judge
from pipeline.training.run import EpochRecord, Watched


@dataclass(frozen=True)
class Watch:
    """Looks at one split."""

    images: Literal["held_out", "evaluation"]
    split: Split
    model: KnownModel

    def look(self, network: nn.Module) -> Watched:
        """Judge the network as it is."""
        found = judge(network, self.model, self.split, lambda _: None)
        return Watched(images=self.images, loss=found.loss, accuracy=found.accuracy)


def learned_and_watched(
    config: TrainConfig, dataset: Dataset, model: KnownModel
) -> tuple[Split, Watch | None]:
    """Return the images to learn from, and what to watch. Raises DataError if one of them would be empty."""
    whole = dataset.split("train")
    if config.watch == "nothing":
        return whole, None
    if config.watch == "evaluation":
        return whole, Watch("evaluation", dataset.split("evaluation"), model)
    held = whole.stratified(max(1, round(config.hold_out * len(whole))), config.seed)
    taken = np.isin(whole.indices, held.indices)
    if taken.all():
        raise DataError(
            f"Holding out {config.hold_out:.0%} of {len(whole)} images leaves none to learn from."
        )
    return whole.subset(np.flatnonzero(~taken)), Watch("held_out", held, model)


def best_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Return the first epoch with the lowest watched loss; None if nothing was watched."""
    watched = [(record.watched.loss, record.epoch) for record in history if record.watched is not None]
    return min(watched)[1] if watched else None


def out_of_patience(history: Sequence[EpochRecord], patience: int) -> bool:
    """Whether the last `patience` epochs brought no lower watched loss; never if `patience` is 0."""
    best = best_epoch(history)
    return bool(patience) and best is not None and history[-1].epoch - best >= patience
