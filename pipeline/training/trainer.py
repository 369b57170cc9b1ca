"""The network, its optimiser, and one epoch of training."""

import hashlib
import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UsageError
from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import KnownModel
from pipeline.progress import Advance
from pipeline.training.augment import random_crop, random_flip, resized
from pipeline.training.config import TrainConfig
from pipeline.training.optimise import learning_rate, make_optimiser
from pipeline.training.run import EpochRecord


class Trainer:
    """Trains one network on images uint8 [N, H, W, C] and labels int64 [N] that are held in memory.

    All that is random follows from the seed and the number of the epoch, so an epoch needs nothing of the
    ones before it but their weights and momentum.
    """

    def __init__(self, config: TrainConfig, model: KnownModel, classes: int) -> None:
        self.config = config
        self.model = model
        self.bf16 = False
        self.network = _initial(config, model, classes).train()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.optimiser = make_optimiser(self.network, config)
        self._normalised = resnet.FromPixels(self.network, model.mean, model.std).normalised

    def steps(self, images: int) -> int:
        """Return the steps of an epoch; images after the last full batch wait for another epoch's order."""
        return max(1, images // self.config.batch_size)

    def epoch(self, number: int, images: Tensor, labels: Tensor, advance: Advance) -> EpochRecord:
        """Train epoch `number`, counted from 1. Raises UsageError if the loss is no longer finite."""
        start = time.perf_counter()
        steps = self.steps(len(images))
        side = self._side(number)
        loss_sum, right, rate = 0.0, 0, 0.0
        for step, (batch, wanted) in enumerate(self._batches(number, images, labels), start=1):
            rate = learning_rate((number - 1) * steps + step - 1, steps * self.config.epochs, self.config)
            loss, correct = self.step(batch, wanted, side, rate)
            loss_sum, right = loss_sum + loss, right + correct
            advance(1)
            if not math.isfinite(loss):
                raise UsageError(
                    f"Training diverged in epoch {number}: lower peak_learning_rate ({rate:.3g} here)."
                )
        seen = steps * min(self.config.batch_size, len(images))
        return EpochRecord(
            epoch=number,
            side=side,
            learning_rate=rate,
            loss=loss_sum / steps,
            accuracy=right / seen,
            seconds=time.perf_counter() - start,
        )

    def step(self, batch: Tensor, wanted: Tensor, side: int, rate: float) -> tuple[float, int]:
        """Take one optimiser step on uint8 [N, H, W, C]; return its loss and how many were right."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        inputs = resized(self._normalised(batch), side)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.network(inputs)
            loss = functional.cross_entropy(logits, wanted, label_smoothing=self.config.label_smoothing)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.item(), int((logits.argmax(1) == wanted).sum())

    def _batches(self, number: int, images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield an epoch's batches, shuffled, cropped and flipped."""
        random = torch.Generator()
        random.manual_seed(_seed(self.config.seed, number))
        order = torch.randperm(len(images), generator=random)
        margin = round(self.config.crop_margin * images.shape[1])
        for chosen in torch.split(order, self.config.batch_size)[: self.steps(len(images))]:
            batch = random_crop(images[chosen], margin, random)
            yield random_flip(batch, random) if self.config.flip else batch, labels[chosen]

    def _side(self, number: int) -> int:
        small = number <= self.config.small_epochs * self.config.epochs
        return round(self.model.preprocessing.height * (self.config.small_scale if small else 1))


def _initial(config: TrainConfig, model: KnownModel, classes: int) -> nn.Module:
    if config.initial is not None:
        return load_model(model, config.initial, classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(config.seed, 0))
        return resnet.build(model.architecture, model.channels, classes)


def _seed(*parts: int) -> int:
    """Mix whole numbers into one seed of 64 bits."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8])
