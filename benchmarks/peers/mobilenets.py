"""MobileNets, as published: depthwise convolutions, and in V3 squeeze-and-excite and hard swishes."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

Activation = Callable[[], nn.Module]


def _norm(channels_in: int, channels: int, kernel: int, stride: int, groups: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(channels)


def _layer(
    channels_in: int, channels: int, activation: Activation, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(*_norm(channels_in, channels, kernel, stride, groups), activation())


class _SqueezeExcite(nn.Module):
    """Hu et al. 2018; sigmoid and sizes as in Howard et al. 2019."""

    def __init__(self, channels: int, gate: Activation) -> None:
        super().__init__()
        inside = max(8, (channels // 4 + 4) // 8 * 8)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inside, 1),
            nn.ReLU(),
            nn.Conv2d(inside, channels, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.gate(x)
        return y


class _InvertedResidual(nn.Module):
    """Expand, depthwise, project (Sandler et al. 2018, section 3.3)."""

    def __init__(
        self,
        channels_in: int,
        hidden: int,
        channels: int,
        kernel: int,
        stride: int,
        activation: Activation,
        gate: Activation | None = None,
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1 and channels_in == channels
        expand = [_layer(channels_in, hidden, activation)] if hidden != channels_in else []
        self.branch = nn.Sequential(
            *expand,
            _layer(hidden, hidden, activation, kernel, stride, hidden),
            *([_SqueezeExcite(hidden, gate)] if gate else []),
            *_norm(hidden, channels, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x)
        return x + y if self.shortcut else y


def v1(classes: int) -> nn.Module:
    """Howard et al. 2017, "MobileNets", table 1."""
    layers: list[nn.Module] = [_layer(3, 32, nn.ReLU, 3, 2)]
    before = 32
    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for channels, stride in rows:
        layers += [
            _layer(before, before, nn.ReLU, 3, stride, before),
            _layer(before, channels, nn.ReLU),
        ]
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def v2(classes: int, width: float = 1.0) -> nn.Module:
    """Sandler et al. 2018, "MobileNetV2", table 2; every number of channels but the last times `width`."""
    before = _eights(32 * width)
    layers: list[nn.Module] = [_layer(3, before, nn.ReLU6, 3, 2)]
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2)]
    for factor, published, count, stride in [*rows, (6, 320, 1, 1)]:
        channels = _eights(published * width)
        for i in range(count):
            layers.append(
                _InvertedResidual(before, factor * before, channels, 3, 1 if i else stride, nn.ReLU6)
            )
            before = channels
    layers.append(_layer(before, 1280, nn.ReLU6))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes))


def v2_half(classes: int) -> nn.Module:
    """MobileNetV2 of half the width."""
    return v2(classes, 0.5)


def _eights(channels: float) -> int:
    """The nearest multiple of 8, at least 8."""
    return max(8, round(channels / 8) * 8)


def efficient(classes: int) -> nn.Module:
    """Tan & Le 2019, "EfficientNet", table 1, with half the layers and half the width."""
    layers: list[nn.Module] = [_layer(3, 16, nn.SiLU, 3, 2)]
    before = 16
    rows = [(3, 1, 8, 1, 1), (3, 6, 16, 1, 2), (5, 6, 24, 1, 2), (3, 6, 40, 2, 2), (5, 6, 56, 2, 1)]
    for kernel, factor, channels, count, stride in [*rows, (5, 6, 96, 2, 2)]:
        for i in range(count):
            hidden = factor * before
            layers.append(
                _InvertedResidual(before, hidden, channels, kernel, 1 if i else stride, nn.SiLU, nn.Sigmoid)
            )
            before = channels
    layers.append(_layer(before, 320, nn.SiLU))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, classes))


def v3_small(classes: int) -> nn.Module:
    """Howard et al. 2019, "Searching for MobileNetV3", table 2."""
    layers: list[nn.Module] = [_layer(3, 16, nn.Hardswish, 3, 2)]
    before = 16
    rows = [
        *[(3, 16, 16, True, nn.ReLU, 2), (3, 72, 24, False, nn.ReLU, 2), (3, 88, 24, False, nn.ReLU, 1)],
        *[(5, 96, 40, True, nn.Hardswish, 2), *[(5, 240, 40, True, nn.Hardswish, 1)] * 2],
        *[(5, 120, 48, True, nn.Hardswish, 1), (5, 144, 48, True, nn.Hardswish, 1)],
        *[(5, 288, 96, True, nn.Hardswish, 2), *[(5, 576, 96, True, nn.Hardswish, 1)] * 2],
    ]
    for kernel, hidden, channels, excite, activation, stride in rows:
        gate = nn.Hardsigmoid if excite else None
        layers.append(_InvertedResidual(before, hidden, channels, kernel, stride, activation, gate))
        before = channels
    layers.append(_layer(before, 576, nn.Hardswish))
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(576, 1024),
        nn.Hardswish(),
        nn.Linear(1024, classes),
    )


def build(name: str, classes: int) -> nn.Module:
    """One of them by its name."""
    made: nn.Module = {"v1": v1, "v2": v2, "v3_small": v3_small}[name](classes)
    torch.manual_seed(0)
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return made
