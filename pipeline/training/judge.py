"""The accuracy and confusions of a float network on a split."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from pipeline.data.split import Batch, Split
from pipeline.models.resnet import FromPixels
from pipeline.models.zoo import KnownModel
from pipeline.progress import Advance

BATCH = 250


@dataclass(frozen=True)
class Judgement:
    """Mean cross-entropy, and the confusion matrix: int64 [true class, predicted class]."""

    loss: float
    confusion: NDArray[np.int64]

    @property
    def right(self) -> int:
        """Images that are classified correctly."""
        return int(np.trace(self.confusion))

    @property
    def seen(self) -> int:
        """Images judged."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Top-1, in [0, 1]."""
        return self.right / self.seen if self.seen else 0.0

    @property
    def balanced_accuracy(self) -> float:
        """The mean over classes of the share of correct images: all classes have the same weight."""
        per_class = self.confusion.sum(1)
        there = per_class > 0
        return float(np.mean(np.diag(self.confusion)[there] / per_class[there])) if there.any() else 0.0


def judge(network: nn.Module, model: KnownModel, split: Split, advance: Advance) -> Judgement:
    """Classify all readable images of `split` in float32. The network's mode is restored."""
    batches = split.batches(model.preprocessing, BATCH)
    return judge_batches(network, model, batches, len(split.classes), advance)


def judge_batches(
    network: nn.Module, model: KnownModel, batches: Iterable[Batch], classes: int, advance: Advance
) -> Judgement:
    """As `judge`, on batches that may be reused."""
    device = next(network.parameters()).device
    training = {module: module.training for module in network.modules()}
    on_pixels = FromPixels(network, model.mean, model.std).eval().to(device)
    confusion, loss = np.zeros((classes, classes), np.int64), 0.0
    with torch.inference_mode():
        for batch in batches:
            labels = torch.from_numpy(batch.labels)
            logits = on_pixels(torch.from_numpy(batch.images).to(device)).float().cpu()
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            np.add.at(confusion, (batch.labels, logits.argmax(1).numpy()), 1)
            advance(len(labels))
    for module, mode in training.items():
        module.training = mode
    return Judgement(loss / max(1, int(confusion.sum())), confusion)
