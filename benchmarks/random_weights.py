"""Networks with random weights: which weights they are does not matter, that every layer is alive does."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def settle(network: "torch.nn.Module", batches: "Iterable[torch.Tensor]") -> None:
    """Let norms have the statistics of these images, and leave the network in training mode."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain averages
    network.train()
    with torch.no_grad():
        for images in batches:
            network(images)
