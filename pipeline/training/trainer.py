"""The network, its optimiser, and one epoch of training."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from pipeline.errors import TrainingError
from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import KnownModel
from pipeline.progress import Advance
from pipeline.training import augment
from pipeline.training.failure import lower_rate
from pipeline.training.held import HeldImages
from pipeline.training.optimise import learning_rate, make_optimiser
from pipeline.training.processes import Processes
from pipeline.training.settings import TrainConfig
from pipeline.training.thaw import thawed
from pipeline.training.training_run import EpochRecord
from pipeline.training.virtual_ranks import VirtualRanks

ALONE = Processes()


@dataclass(frozen=True)
class BatchPart:
    """A part of a batch: uint8 [N, H, W, C], int64 [N], and its own random numbers."""

    images: Tensor
    labels: Tensor
    random: torch.Generator


class Trainer:
    """Trains one network on images that are held in memory: those of its own parts of each batch.

    Randomness depends only on the seed and the number of the epoch, so that a run can resume from the state
    after any epoch.
    """

    def __init__(
        self, config: TrainConfig, model: KnownModel, classes: int, processes: Processes = ALONE
    ) -> None:
        self.config = config
        self.model = model
        self.bf16 = False
        self.device = torch.device("cpu")
        self.class_weights: Tensor | None = None
        self.ranks = VirtualRanks(config.parts, processes)
        self.network = _initial(config, model, classes).train()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.average = (
            AveragedModel(self.network, avg_fn=_moved(config.average), use_buffers=True)
            if config.average
            else None
        )
        self.optimiser = make_optimiser(self.network, config)
        self._pixels = resnet.FromPixels(self.network, model.mean, model.std)

    def move(self, device: torch.device) -> None:
        """Move everything to `device`."""
        self.device = device
        self._pixels.to(device)  # it includes the network
        if self.average is not None:
            self.average.to(device)
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(device)

    @property
    def outcome(self) -> nn.Module:
        """The network to evaluate and save: the average, if there is one."""
        return self.network if self.average is None else self.average.module

    def state(self) -> dict[str, Any]:
        """Return everything that an epoch changes."""
        state = {"model": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        return state if self.average is None else state | {"average": self.average.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.network.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def steps(self, images: int) -> int:
        """Return the number of steps in an epoch; `images`: those of the smallest part.

        Images after the last full batch are left out of the epoch.
        """
        return max(1, images // self._part_size)

    def epoch(self, number: int, held: Sequence[HeldImages], steps: int, advance: Advance) -> EpochRecord:
        """Train epoch `number`, counted from 1. Raises TrainingError if the loss is no longer finite."""
        start = time.perf_counter()
        side = self._side(number)
        thawed(self.network, number, self.config.epochs, self.config.thaw)
        loss_sum, right, seen, rate = 0.0, 0, 0, 0.0
        drawn = zip(*(self._batches(one, self._random(number, one.part), steps) for one in held), strict=True)
        for step, parts in enumerate(drawn, start=1):
            rate = learning_rate((number - 1) * steps + step - 1, steps * self.config.epochs, self.config)
            loss, correct = self.step(parts, side, rate)
            loss_sum, right = loss_sum + loss, right + correct
            seen += self.config.parts * len(parts[0].labels)
            advance(1)
            if not math.isfinite(loss):
                raise TrainingError(f"Training diverged in epoch {number}. {lower_rate(self.config)}")
        return EpochRecord(
            epoch=number,
            side=side,
            learning_rate=rate,
            loss=loss_sum / steps,
            accuracy=right / seen,
            seconds=time.perf_counter() - start,
        )

    def step(self, parts: Sequence[BatchPart], side: int, rate: float) -> tuple[float, int]:
        """Take one optimiser step on the own parts of a batch.

        Returns the loss and the number of correct images of all parts.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if self.config.parts == 1:
            self.optimiser.zero_grad()
            outcome = self._learn(parts[0], side)
        else:
            outcome = self.ranks.learn(self.network, [partial(self._learn, one, side) for one in parts])
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return outcome

    def _learn(self, drawn: BatchPart, side: int) -> tuple[float, int]:
        """Go forward and backward; return the loss and the number of correct images."""
        inputs = self._inputs(drawn.images.to(self.device), side, drawn.random)
        wanted = drawn.labels.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(inputs)
            loss = functional.cross_entropy(
                logits, wanted, self.class_weights, label_smoothing=self.config.label_smoothing
            )
        torch.autograd.backward(loss)
        return loss.item(), int((logits.argmax(1) == wanted).sum())

    def _inputs(self, batch: Tensor, side: int, random: torch.Generator) -> Tensor:
        """Change pixels at random, and normalise them."""
        config = self.config
        pixels = augment.random_colour(batch, config.colour, random) if config.colour else batch
        inputs = self._pixels.normalised(pixels)
        if config.zoom:
            inputs = augment.random_zoom(inputs, config.zoom, random)
        if config.erase:
            inputs = augment.random_erase(inputs, config.erase, random)
        return augment.resized(inputs, side)

    @property
    def _part_size(self) -> int:
        return self.config.batch_size // self.config.parts

    def _random(self, number: int, part: int) -> torch.Generator:
        random = torch.Generator()
        random.manual_seed(_seed(self.config.seed, number, *([part] if self.config.parts > 1 else [])))
        return random

    def _batches(self, held: HeldImages, random: torch.Generator, steps: int) -> Iterator[BatchPart]:
        """Yield one part of each of an epoch's batches: shuffled, cropped and flipped."""
        order = torch.randperm(len(held.images), generator=random)
        margin = round(self.config.crop_margin * held.images.shape[1])
        for chosen in torch.split(order, self._part_size)[:steps]:
            batch = augment.random_crop(held.images[chosen], margin, random)
            batch = augment.random_flip(batch, random) if self.config.flip else batch
            yield BatchPart(batch, held.labels[chosen], random)

    def _side(self, number: int) -> int:
        small = number <= self.config.small_epochs * self.config.epochs
        return round(self.model.preprocessing.height * (self.config.small_scale if small else 1))


def _initial(config: TrainConfig, model: KnownModel, classes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(config.seed, 0))
        if config.initial is not None:
            return load_model(
                model, config.initial, classes, config.weights, new_head=config.new_head
            ).train()
        network = resnet.build(model.architecture, model.channels, classes)
    if config.silent_branches:
        resnet.silence_branches(network)
    return network


def _moved(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an averaging function with a decay that grows to `decay`, so that early weights fade soon.

    min(decay, (1 + n) / (10 + n)), as in TensorFlow's ExponentialMovingAverage.
    """

    def moved(average: Tensor, now: Tensor, n: Tensor | int) -> Tensor:
        weight = min(decay, (1 + int(n)) / (10 + int(n)))
        return now if not now.is_floating_point() else torch.lerp(now, average, weight)

    return moved


def _seed(*parts: int) -> int:
    """Mix whole numbers into one seed of 64 bits."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8])
