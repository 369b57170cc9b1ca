"""The parts that the architectures share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CLASSES = 10
SIDE = 32
Activation = Callable[[], nn.Module]


def conv_norm(
    channels_in: int,
    channels: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    """Return convolution, batch norm and activation; the size stays, but for the stride."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation()]))


def classifier(channels: int) -> nn.Sequential:
    """Return the mean over the map, and a dense layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))


class SqueezeExcite(nn.Module):
    """Hu et al. 2018: each channel times a gate that follows from all means."""

    def __init__(
        self, channels: int, inner: Activation = nn.ReLU, gate: Activation = nn.Sigmoid, reduce: int = 4
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduce, 1),
            inner(),
            nn.Conv2d(channels // reduce, channels, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gates: Tensor = self.layers(x)
        return x * gates


class Shortcut(nn.Module):
    """A branch beside the identity, or beside a projection where shapes differ."""

    def __init__(
        self, branch: nn.Module, beside: nn.Module | None = None, after: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.branch = branch
        self.beside = beside or nn.Identity()
        self.after = after or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(self.branch(x) + self.beside(x))
        return y


class Joined(nn.Module):
    """Branches that read the same, joined by Concat."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)
