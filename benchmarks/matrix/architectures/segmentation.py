"""Networks that give a class for each pixel."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.matrix.architectures.building_blocks import Joined, conv_norm

CLASSES = 4


def fcn() -> nn.Module:
    """Long et al. 2015: made large again by transposed convolutions."""
    large = nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1), nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1)
    return nn.Sequential(conv_norm(3, 16, 3, 2), conv_norm(16, 32, 3, 2), nn.Conv2d(32, CLASSES, 1), *large)


class UNet(nn.Module):
    """Ronneberger et al. 2015: down, up by resizing, and the early layers joined in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.up = conv_norm(3, 8), conv_norm(8, 16), conv_norm(24, 8)
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(functional.max_pool2d(first, 2))
        large = functional.interpolate(second, scale_factor=2.0, mode="nearest")
        y: Tensor = self.head(self.up(torch.cat([large, first], 1)))
        return y


class SegNet(nn.Module):
    """Badrinarayanan et al. 2017, made large by bilinear resizing as light variants do."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(
            conv_norm(3, 16), nn.MaxPool2d(2), conv_norm(16, 32), nn.MaxPool2d(2), conv_norm(32, 32)
        )
        self.middle, self.last = conv_norm(32, 16), conv_norm(16, 16)
        self.head = nn.Conv2d(16, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        middle = self.middle(_twice(self.down(x)))
        y: Tensor = self.head(self.last(_twice(middle)))
        return y


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class DeepLab(nn.Module):
    """Chen et al. 2017: dilated convolutions side by side with the mean of the map, then resized."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, 16, 3, 2), conv_norm(16, 32, 3, 2))
        dilated = [
            nn.Sequential(
                nn.Conv2d(32, 8, 3, padding=d, dilation=d, bias=False), nn.BatchNorm2d(8), nn.ReLU()
            )
            for d in (2, 4)
        ]
        self.branches = Joined(conv_norm(32, 8, 1), *dilated)
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 8, 1), nn.ReLU())
        self.head = nn.Conv2d(32, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.stem(x)
        pooled = functional.interpolate(self.pooled(seen), size=seen.shape[2:], mode="nearest")
        y = self.head(torch.cat([self.branches(seen), pooled], 1))
        return functional.interpolate(y, scale_factor=4.0, mode="bilinear", align_corners=False)
