"""A network that gives a class for each pixel."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

_WIDTHS = (32, 64, 128, 256)


def _twice(before: int, channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels_in in (before, channels):
        layers += [
            nn.Conv2d(channels_in, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class PeerUNet(nn.Module):
    """Ronneberger et al. 2015 with half the channels and padding, made large by resizing.

    widths: the channels of each size of the image, the largest first.
    """

    def __init__(self, classes: int, widths: Sequence[int] = _WIDTHS) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.ModuleList(_twice(a, b) for a, b in pairwise((3, *widths)))
        joined = [(a + b, a) for a, b in pairwise(widths)]
        self.up = nn.ModuleList(_twice(a, b) for a, b in reversed(joined))
        self.pool, self.resize = nn.MaxPool2d(2), nn.Upsample(scale_factor=2.0, mode="nearest")
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, H, W], H and W multiples of 8, to classes [N, C, H, W]."""
        early: list[Tensor] = []
        for i, layers in enumerate(self.down):
            x = layers(x if i == 0 else self.pool(x))
            early.append(x)
        for layers, before in zip(self.up, reversed(early[:-1]), strict=True):
            x = layers(torch.cat([self.resize(x), before], 1))
        y: Tensor = self.head(x)
        return y
