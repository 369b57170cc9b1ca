"""Small networks of plain convolutions: in a row, in branches, dense, or gated by a second convolution."""

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10


def conv_norm_relu(
    channels_in: int, channels: int, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


class AlexNetLike(nn.Sequential):
    """Krizhevsky et al. 2012: large strided kernels with biases, overlapping pooling, hidden dense layers."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 5, 2, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(32 * 9, 64),
            nn.ReLU(),
            nn.Linear(64, CLASSES),
        )


class VggLike(nn.Sequential):
    """Simonyan and Zisserman 2014: 3x3 convolutions and 2x2 pooling."""

    def __init__(self) -> None:
        super().__init__(
            conv_norm_relu(3, 16),
            conv_norm_relu(16, 16),
            nn.MaxPool2d(2),
            conv_norm_relu(16, 32),
            conv_norm_relu(32, 32),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * 16, CLASSES),
        )


class Inception(nn.Module):
    """Szegedy et al. 2015: four branches, joined by Concat."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = conv_norm_relu(channels, 8, 1)
        self.three = nn.Sequential(conv_norm_relu(channels, 8, 1), conv_norm_relu(8, 16))
        self.five = nn.Sequential(conv_norm_relu(channels, 4, 1), conv_norm_relu(4, 8, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_norm_relu(channels, 8, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 40, H, W]."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class GoogLeNetLike(nn.Sequential):
    """Two inception modules."""

    def __init__(self) -> None:
        super().__init__(
            conv_norm_relu(3, 16, stride=2),
            Inception(16),
            nn.MaxPool2d(3, 2, 1),
            Inception(40),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(40, CLASSES),
        )


class DenseLayer(nn.Module):
    """Huang et al. 2017: norm, ReLU, convolution; the input is kept beside the output."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels + growth, H, W]."""
        return torch.cat([x, self.conv(functional.relu(self.bn(x)))], 1)


class DenseNetLike(nn.Sequential):
    """Two dense blocks with a transition (1x1 convolution, average pooling) between them."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            DenseLayer(16, 8),
            DenseLayer(24, 8),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 16, 1, bias=False),
            nn.AvgPool2d(2),
            DenseLayer(16, 8),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class HighwayLayer(nn.Module):
    """Srivastava et al. 2015, equation 3: H(x) T(x) + x (1 - T(x)), T a sigmoid gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.work = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.constant_(self.gate.bias, -1.0)  # type: ignore[arg-type]  # begins by carrying

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H, W]."""
        gate = torch.sigmoid(self.gate(x))
        return functional.relu(self.work(x)) * gate + x * (1 - gate)


class HighwayLike(nn.Sequential):
    """A stem and three gated layers."""

    def __init__(self) -> None:
        super().__init__(
            conv_norm_relu(3, 16, stride=2),
            *(HighwayLayer(16) for _ in range(3)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )
