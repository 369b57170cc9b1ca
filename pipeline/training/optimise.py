"""The optimiser and its learning rate."""

import torch
from torch import nn

from pipeline.training.config import TrainConfig


def make_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """Make SGD with Nesterov momentum; weight decay only on convolutions and matrices.

    Decay on batch norm's scales and on biases only hurts: Goyal et al. 2017, "Accurate, Large Minibatch SGD",
    section 5.1; He et al. 2019, "Bag of Tricks", section 3.1.
    """
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        groups, lr=config.peak_learning_rate, momentum=config.momentum, nesterov=config.momentum > 0
    )


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the rate for one step of `steps`: linear up during the warm-up, then linear to zero."""
    done = (step + 1) / (steps + 1)  # never exactly zero
    if done < config.warm_up:
        return config.peak_learning_rate * done / config.warm_up
    return config.peak_learning_rate * (1 - done) / (1 - config.warm_up)
