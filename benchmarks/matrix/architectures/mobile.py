"""Networks for phones and boards: depthwise convolutions, gates, shuffled channels."""

import torch
from torch import Tensor, nn

from benchmarks.matrix.architectures.building_blocks import (
    Activation,
    Shortcut,
    SqueezeExcite,
    classifier,
    conv_norm,
)


def separable(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """Return a depthwise and a 1 x 1 convolution (Howard et al. 2017)."""
    return nn.Sequential(
        conv_norm(channels_in, channels_in, 3, stride, channels_in), conv_norm(channels_in, channels, 1)
    )


def inverted(
    channels_in: int,
    channels: int,
    stride: int = 1,
    kernel: int = 3,
    activation: Activation = nn.ReLU6,
    gate: nn.Module | None = None,
) -> nn.Module:
    """Return an inverted residual (Sandler et al. 2018): expand 4 times, depthwise, project."""
    hidden = 4 * channels_in
    branch = nn.Sequential(
        conv_norm(channels_in, hidden, 1, activation=activation),
        conv_norm(hidden, hidden, kernel, stride, hidden, activation),
        *([] if gate is None else [gate]),
        conv_norm(hidden, channels, 1, activation=None),
    )
    return Shortcut(branch) if stride == 1 and channels_in == channels else branch


def mobilenet_v1() -> nn.Module:
    """Howard et al. 2017."""
    layers = separable(16, 32), separable(32, 64, 2), separable(64, 64)
    return nn.Sequential(conv_norm(3, 16, 3, 2), *layers, classifier(64))


def mobilenet_v2() -> nn.Module:
    """Sandler et al. 2018."""
    layers = inverted(16, 16), inverted(16, 24, 2), inverted(24, 24)
    return nn.Sequential(conv_norm(3, 16, 3, 2, activation=nn.ReLU6), *layers, classifier(24))


def mobilenet_v3() -> nn.Module:
    """Howard et al. 2019: HardSwish, and squeeze and excitation with HardSigmoid."""

    def gate(channels: int) -> nn.Module:
        return SqueezeExcite(4 * channels, gate=nn.Hardsigmoid)

    return nn.Sequential(
        conv_norm(3, 16, 3, 2, activation=nn.Hardswish),
        inverted(16, 16, activation=nn.ReLU, gate=gate(16)),
        inverted(16, 24, 2, 5, nn.Hardswish),
        inverted(24, 24, 1, 5, nn.Hardswish, gate(24)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 64),
        nn.Hardswish(),
        nn.Linear(64, 10),
    )


def efficientnet() -> nn.Module:
    """Tan and Le 2019: SiLU, and squeeze and excitation with Sigmoid."""

    def gate(channels: int) -> nn.Module:
        return SqueezeExcite(4 * channels, nn.SiLU)

    return nn.Sequential(
        conv_norm(3, 16, 3, 2, activation=nn.SiLU),
        inverted(16, 16, 1, 3, nn.SiLU, gate(16)),
        inverted(16, 24, 2, 5, nn.SiLU, gate(24 * 16 // 24)),
        conv_norm(24, 64, 1, activation=nn.SiLU),
        classifier(64),
    )


def efficientnet_lite() -> nn.Module:
    """Liu 2020: ReLU6, no gates."""
    layers = inverted(16, 16), inverted(16, 24, 2, 5), inverted(24, 24, 1, 5)
    stem = conv_norm(3, 16, 3, 2, activation=nn.ReLU6)
    return nn.Sequential(stem, *layers, conv_norm(24, 64, 1, activation=nn.ReLU6), classifier(64))


def mnasnet() -> nn.Module:
    """Tan et al. 2019: kernels of 3 and 5, a separable convolution without ReLU first."""
    first = nn.Sequential(conv_norm(16, 16, 3, 1, 16), conv_norm(16, 16, 1, activation=None))
    layers = inverted(16, 24, 2, 3, nn.ReLU), inverted(24, 24, 1, 5, nn.ReLU)
    return nn.Sequential(conv_norm(3, 16, 3, 2), first, *layers, classifier(24))


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Return the channels of groups one by one (Zhang et al. 2018)."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class _ShuffleV1(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.first = conv_norm(channels, channels, 1, 1, groups)
        self.second = conv_norm(channels, channels, 3, 1, channels, None)
        self.third = conv_norm(channels, channels, 1, 1, groups, None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.third(self.second(shuffled(self.first(x), self.groups)))
        return torch.relu(x + y)


def shufflenet_v1() -> nn.Module:
    """Zhang et al. 2018: grouped 1 x 1 convolutions with a shuffle between."""
    return nn.Sequential(conv_norm(3, 24, 3, 2), _ShuffleV1(24, 3), _ShuffleV1(24, 3), classifier(24))


class _ShuffleV2(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_norm(half, half, 1), conv_norm(half, half, 3, 1, half, None), conv_norm(half, half, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, 1)
        return shuffled(torch.cat([kept, self.branch(worked)], 1), 2)


def shufflenet_v2() -> nn.Module:
    """Ma et al. 2018: half of the channels is left alone, then all are shuffled."""
    return nn.Sequential(
        conv_norm(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1), _ShuffleV2(24), _ShuffleV2(24), classifier(24)
    )


class Ghost(nn.Module):
    """Han et al. 2020: half of the channels by a cheap depthwise convolution of the other half."""

    def __init__(self, channels_in: int, channels: int, activation: Activation | None) -> None:
        super().__init__()
        half = channels // 2
        self.made = conv_norm(channels_in, half, 1, activation=activation)
        self.cheap = conv_norm(half, half, 3, 1, half, activation)

    def forward(self, x: Tensor) -> Tensor:
        made = self.made(x)
        return torch.cat([made, self.cheap(made)], 1)


def ghostnet() -> nn.Module:
    """Han et al. 2020."""

    def block(channels: int) -> nn.Module:
        gate = SqueezeExcite(2 * channels, gate=nn.Hardsigmoid)
        return Shortcut(
            nn.Sequential(Ghost(channels, 2 * channels, nn.ReLU), gate, Ghost(2 * channels, channels, None))
        )

    return nn.Sequential(
        conv_norm(3, 16, 3, 2), block(16), conv_norm(16, 32, 3, 2), block(32), classifier(32)
    )


def xception() -> nn.Module:
    """Chollet 2017: separable convolutions with ReLU in front, pooling beside a strided projection."""
    branch = nn.Sequential(nn.ReLU(), separable(16, 32), separable(32, 32), nn.MaxPool2d(3, 2, 1))
    block = Shortcut(branch, conv_norm(16, 32, 1, 2, activation=None))
    return nn.Sequential(conv_norm(3, 16, 3, 2), block, nn.ReLU(), separable(32, 48), classifier(48))
