"""Small networks made for phones: depthwise convolutions, squeeze-and-excite gates, shuffled channels."""

import torch
from torch import Tensor, nn

from tests.pipeline.models.foreign.plain_networks import (
    CLASSES,
)


class Branch(nn.Module):
    """Layers in a row, with a shortcut around them where the shapes allow it."""

    def __init__(self, shortcut: bool, *layers: nn.Module) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.branch = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, channels, H / stride, W / stride]."""
        y: Tensor = self.branch(x)
        return x + y if self.shortcut else y


class InvertedResidual(Branch):
    """Sandler et al. 2018, "MobileNetV2": expand, depthwise, project; ReLU6; a shortcut without ReLU."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        hidden = 4 * channels_in
        super().__init__(
            stride == 1 and channels_in == channels,
            nn.Conv2d(channels_in, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class MobileNetLike(nn.Sequential):
    """A strided stem and three inverted residuals."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            InvertedResidual(16, 16, 1),
            InvertedResidual(16, 24, 2),
            InvertedResidual(24, 24, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class ExciteGate(nn.Module):
    """Hu et al. 2018: each channel times a gate that all of the map decides."""

    def __init__(self, channels: int, squeezed: int, gate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            gate,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H, W]."""
        y: Tensor = x * self.gate(x)
        return y


class GatedResidual(Branch):
    """An inverted residual with a squeeze-and-excite gate, as in MobileNetV3 and EfficientNet."""

    def __init__(
        self, channels_in: int, channels: int, stride: int, activation: type[nn.Module], gate: type[nn.Module]
    ) -> None:
        hidden = 4 * channels_in
        super().__init__(
            stride == 1 and channels_in == channels,
            nn.Conv2d(channels_in, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            nn.Conv2d(hidden, hidden, 5, stride, 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            ExciteGate(hidden, 16, gate()),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class MobileNetV3Like(nn.Sequential):
    """Howard et al. 2019: HardSwish, gates of HardSigmoid, a hidden dense layer behind the pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.Hardswish(),
            GatedResidual(16, 16, 1, nn.ReLU, nn.Hardsigmoid),
            GatedResidual(16, 24, 2, nn.Hardswish, nn.Hardsigmoid),
            GatedResidual(24, 24, 1, nn.Hardswish, nn.Hardsigmoid),
            nn.Conv2d(24, 96, 1, bias=False),
            nn.BatchNorm2d(96),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(96, 64),
            nn.Hardswish(),
            nn.Dropout(),
            nn.Linear(64, CLASSES),
        )


class EfficientNetLike(nn.Sequential):
    """Tan and Le 2019: SiLU, gates of Sigmoid."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            GatedResidual(16, 24, 2, nn.SiLU, nn.Sigmoid),
            GatedResidual(24, 24, 1, nn.SiLU, nn.Sigmoid),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, CLASSES),
        )


class EfficientNetLiteLike(nn.Sequential):
    """EfficientNet for edge devices: ReLU6, no gates, a wide 1x1 convolution before the pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            InvertedResidual(16, 24, 2),
            InvertedResidual(24, 24, 1),
            nn.Conv2d(24, 96, 1, bias=False),
            nn.BatchNorm2d(96),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(96, CLASSES),
        )


class Shuffled(nn.Module):
    """Half of the input's channels are convolved, then all are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.worked = nn.Sequential(nn.Conv2d(channels // 2, channels // 2, 3, 1, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, 1)
        images, channels, height, width = x.shape
        joined = torch.cat([kept, self.worked(worked)], 1)
        turned = joined.view(images, 2, channels // 2, height, width).transpose(1, 2)
        return turned.reshape(images, channels, height, width)


class ShuffleNetLike(nn.Sequential):
    """A stem and two blocks of ShuffleNetV2."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.ReLU(),
            Shuffled(16),
            Shuffled(16),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )
