"""The optimiser, its learning rate, and how much each class counts."""

import torch
from torch import Tensor, nn

from pipeline.training.settings import TrainConfig


def make_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """Make SGD with Nesterov momentum; weight decay only on convolutions and matrices.

    Decay on batch norm's scales and on biases reduces accuracy: Goyal et al. 2017, "Accurate, Large Minibatch
    SGD", section 5.1; He et al. 2019, "Bag of Tricks", section 3.1.
    """
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        groups,
        lr=config.peak_learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,
    )


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the rate for one step of `steps`: linear warm-up, then a linear decay to zero, or drops."""
    done = (step + 1) / (steps + 1)  # never exactly zero
    if done < config.warm_up:
        return config.peak_learning_rate * done / config.warm_up
    if config.drops:
        return float(config.peak_learning_rate * 0.1 ** sum(done >= drop for drop in config.drops))
    return config.peak_learning_rate * (1 - done) / (1 - config.warm_up)


def class_weights(labels: Tensor, classes: int, how: str) -> Tensor | None:
    """Return the classes' weights in the loss, float [classes], 1 on average over `labels`; None for "equal".

    "balanced" is proportional to 1 / count: every class adds as much to the loss. "root" is the square root
    of that, between both (Mahajan et al. 2018, section 2.2). A class without images counts 0.
    """
    if how == "equal":
        return None
    counts = torch.bincount(labels, minlength=classes).double()
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    weights = weights.sqrt() if how == "root" else weights
    return (weights * len(labels) / (weights * counts).sum()).float()
