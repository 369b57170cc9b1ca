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
from pipeline.training.held import DamagedPictures
from pipeline.training.processes import Processes

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


def judge_together(
    network: nn.Module, model: KnownModel, split: Split, advance: Advance, processes: Processes
) -> Judgement:
    """As `judge`, with pieces of 250 images divided among the processes. No image is repeated or left out.

    Pieces are added in their order, so the number of processes changes no bit.
    """
    damaged = DamagedPictures(split)
    own = {}
    for piece in range(processes.rank * BATCH, len(split), processes.count * BATCH):
        images = split.subset(range(piece, min(piece + BATCH, len(split))))
        batches = images.batches(model.preprocessing, BATCH, damaged, damaged_share=1.0)
        own[piece] = judge_batches(network, model, batches, len(split.classes), advance)
    damaged.refuse_if_too_many(processes)
    pieces = sorted(
        (piece for found in processes.told(own) for piece in found.items()), key=lambda one: one[0]
    )
    confusion = np.zeros((len(split.classes),) * 2, np.int64)
    loss = 0.0
    for _, found in pieces:
        confusion += found.confusion
        loss += found.loss * found.seen
    return Judgement(loss / max(1, int(confusion.sum())), confusion)


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
