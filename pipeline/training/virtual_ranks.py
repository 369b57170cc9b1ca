"""Virtual ranks: a batch in parts, whose gradients are added in order, whichever process computes them.

Each part has images, random numbers and batch statistics of its own. A process computes one part after the
other, so 1, 2 or 4 processes do the same arithmetic: the same weights, byte for byte, on CPUs of one kind.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.errors import DataError, UsageError
from pipeline.training.processes import Processes
from pipeline.training.settings import TrainConfig


def in_parts(config: TrainConfig, images: int, processes: Processes) -> TrainConfig:
    """Return `config` with a part for each process if it has only one. Raises UsageError if none fit."""
    parts = processes.count if config.parts == 1 else config.parts
    if parts % processes.count:
        raise UsageError(
            f"{parts} parts of a batch cannot be shared evenly by {processes.count} processes. Set parts ="
            f" {processes.count * -(-parts // processes.count)}, or start another number of processes."
        )
    if parts > 1 and (config.batch_size % parts or config.batch_size < 2 * parts):
        size = parts * max(2, round(config.batch_size / parts))
        raise UsageError(
            f"A batch of {config.batch_size} images cannot be cut into {parts} equal parts of two or more,"
            f" which batch normalisation needs. Give --batch {size}, or other parts."
        )
    if images < 2 * parts:
        raise DataError(
            f"There are {images} training images for {parts} parts; batch normalisation needs at least two"
            " in each. Set fewer parts."
        )
    return config.model_copy(update={"parts": parts})


@dataclass(frozen=True)
class VirtualRanks:
    """The parts of a batch, and which of them this process computes."""

    parts: int
    processes: Processes

    @property
    def own(self) -> range:
        """The parts of this process."""
        each = self.parts // self.processes.count
        return range(self.processes.rank * each, (self.processes.rank + 1) * each)

    def learn(
        self, network: nn.Module, learn_one: Sequence[Callable[[], tuple[float, int]]]
    ) -> tuple[float, int]:
        """Leave the mean gradient of all parts in the network, and fold their statistics into its norms.

        learn_one: for each own part, forward and backward; returns its loss and the number of correct images.
        Returns the mean loss and the sum of the correct images of all parts.
        """
        weights = [one for one in network.parameters() if one.requires_grad]
        norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and _keeps_statistics(one)]
        rows, outcomes = [], []
        with _last_statistics(norms):
            for learn in learn_one:
                for weight in weights:
                    weight.grad = None
                outcomes.append(learn())
                rows.append(torch.cat([_gradient(one).reshape(-1) for one in weights] + _statistics(norms)))
        everyone = self.processes.gathered(torch.stack(rows))
        total = everyone[0].clone()
        for row in everyone[1:]:
            total += row
        at = 0
        for weight in weights:
            weight.grad = (total[at : at + weight.numel()] / self.parts).view(weight.shape)
            at += weight.numel()
        _fold(norms, everyone[:, at:])
        told = [one for process in self.processes.told(outcomes) for one in process]
        return sum(loss for loss, _ in told) / self.parts, sum(right for _, right in told)


def _keeps_statistics(norm: _BatchNorm) -> bool:
    return norm.training and norm.running_mean is not None


def _gradient(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad


def _running(norm: _BatchNorm) -> tuple[Tensor, Tensor, Tensor]:
    found = norm.running_mean, norm.running_var, norm.num_batches_tracked
    if any(one is None for one in found):
        raise AssertionError("a norm that keeps statistics has all three")
    return found  # type: ignore[return-value]  # none is None


def _statistics(norms: Sequence[_BatchNorm]) -> list[Tensor]:
    """Return what the last forward pass has left in the norms."""
    return [one.reshape(-1) for norm in norms for one in _running(norm)[:2]]


@contextmanager
def _last_statistics(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Let the norms keep the statistics of the last part alone (a momentum of 1); restore theirs after it."""
    kept = [(norm, norm.momentum, [one.clone() for one in _running(norm)]) for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum, running in kept:
            norm.momentum = momentum
            for mine, before in zip(_running(norm), running, strict=True):
                mine.copy_(before)


def _fold(norms: Sequence[_BatchNorm], everyone: Tensor) -> None:
    """Move the norms' running statistics by those of each part [parts, n], in the parts' order."""
    at = 0
    for norm in norms:
        mean, var, count = _running(norm)
        width = mean.numel()
        for row in everyone[:, at : at + 2 * width]:
            count += 1
            share = 1 / int(count) if norm.momentum is None else norm.momentum
            for running, now in ((mean, row[:width]), (var, row[width:])):
                running.copy_((1 - share) * running + share * now)
        at += 2 * width
