"""Small networks that classify pixels."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.pipeline.models.foreign.plain_networks import (
    conv_norm_relu,
)


class FcnLike(nn.Sequential):
    """Long et al. 2015: a classifier for each pixel, made large again by transposed convolutions."""

    def __init__(self) -> None:
        super().__init__(
            conv_norm_relu(3, 16, stride=2),
            conv_norm_relu(16, 32, stride=2),
            nn.Conv2d(32, 4, 1),
            nn.ConvTranspose2d(4, 4, 4, 2, 1),
            nn.ConvTranspose2d(4, 4, 4, 2, 1),
        )


class UNetLike(nn.Module):
    """Ronneberger et al. 2015: down, up by resizing, and the early layers joined in by Concat."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv_norm_relu(3, 8)
        self.second = conv_norm_relu(8, 16)
        self.up = conv_norm_relu(24, 8)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 4, H, W]."""
        first = self.first(x)
        second = self.second(functional.max_pool2d(first, 2))
        large = functional.interpolate(second, scale_factor=2.0, mode="nearest")
        y: Tensor = self.head(self.up(torch.cat([large, first], 1)))
        return y
