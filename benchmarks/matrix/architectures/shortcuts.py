"""Residual networks and their successors."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.matrix.architectures.building_blocks import (
    Joined,
    Shortcut,
    SqueezeExcite,
    classifier,
    conv_norm,
)


def _projection(channels_in: int, channels: int, stride: int) -> nn.Module:
    same = channels_in == channels and stride == 1
    return nn.Identity() if same else conv_norm(channels_in, channels, 1, stride, activation=None)


def basic(channels_in: int, channels: int, stride: int = 1, last: nn.Module | None = None) -> Shortcut:
    """Return He et al.'s block of two 3 x 3 convolutions (2016, figure 2)."""
    branch = [
        conv_norm(channels_in, channels, stride=stride),
        conv_norm(channels, channels, activation=None),
    ]
    whole = nn.Sequential(*branch, *([] if last is None else [last]))
    return Shortcut(whole, _projection(channels_in, channels, stride), nn.ReLU())


def bottleneck(
    channels_in: int, channels: int, stride: int = 1, groups: int = 1, last: nn.Module | None = None
) -> Shortcut:
    """Return 1 x 1, 3 x 3, 1 x 1 convolutions (He et al. 2016, figure 5; with groups Xie et al. 2017)."""
    inner = channels // 2
    branch = [
        conv_norm(channels_in, inner, 1),
        conv_norm(inner, inner, 3, stride, groups),
        *([] if last is None else [last]),
        conv_norm(inner, channels, 1, activation=None),
    ]
    return Shortcut(nn.Sequential(*branch), _projection(channels_in, channels, stride), nn.ReLU())


def resnet_basic() -> nn.Module:
    """He et al. 2016."""
    blocks = basic(16, 16), basic(16, 32, 2), basic(32, 32), basic(32, 64, 2)
    return nn.Sequential(conv_norm(3, 16), *blocks, classifier(64))


def resnet_bottleneck() -> nn.Module:
    """He et al. 2016, with the stem for ImageNet."""
    stem = conv_norm(3, 16, 7, 2), nn.MaxPool2d(3, 2, 1)
    return nn.Sequential(*stem, bottleneck(16, 64), bottleneck(64, 96, 2), bottleneck(96, 96), classifier(96))


class _PreActivation(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.branch = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )
        same = channels_in == channels and stride == 1
        self.beside = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        seen = functional.relu(self.norm(x))
        kept: Tensor = x if isinstance(self.beside, nn.Identity) else self.beside(seen)
        y: Tensor = kept + self.branch(seen)
        return y


def resnet_preact() -> nn.Module:
    """He et al. 2016, "Identity mappings": norms and ReLU in front of the convolutions."""
    blocks = _PreActivation(16, 16, 1), _PreActivation(16, 32, 2), _PreActivation(32, 32, 1)
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return nn.Sequential(stem, *blocks, nn.BatchNorm2d(32), nn.ReLU(), classifier(32))


def resnet_se() -> nn.Module:
    """Hu et al. 2018."""
    blocks = basic(16, 16, 1, SqueezeExcite(16)), basic(16, 32, 2, SqueezeExcite(32))
    return nn.Sequential(conv_norm(3, 16), *blocks, classifier(32))


def resnext() -> nn.Module:
    """Xie et al. 2017: groups in the bottleneck."""
    blocks = bottleneck(16, 64, 1, 8), bottleneck(64, 96, 2, 8)
    return nn.Sequential(conv_norm(3, 16), *blocks, classifier(96))


def wide_resnet() -> nn.Module:
    """Zagoruyko and Komodakis 2016: few layers, many channels."""
    blocks = _PreActivation(16, 64, 1), _PreActivation(64, 128, 2)
    stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)
    return nn.Sequential(stem, *blocks, nn.BatchNorm2d(128), nn.ReLU(), classifier(128))


def regnet_x() -> nn.Module:
    """Radosavovic et al. 2020: groups of a fixed width, no bottleneck."""
    blocks = bottleneck(16, 48, 2, 3), bottleneck(48, 96, 2, 6)
    return nn.Sequential(conv_norm(3, 16, 3, 2), *blocks, classifier(96))


def regnet_y() -> nn.Module:
    """Radosavovic et al. 2020: with squeeze and excitation behind the grouped convolution."""
    blocks = bottleneck(16, 48, 2, 3, SqueezeExcite(24)), bottleneck(48, 96, 2, 6, SqueezeExcite(48))
    return nn.Sequential(conv_norm(3, 16, 3, 2), *blocks, classifier(96))


class _RepVggBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.three = conv_norm(channels_in, channels, 3, stride, activation=None)
        self.one = conv_norm(channels_in, channels, 1, stride, activation=None)
        self.same = nn.BatchNorm2d(channels) if channels_in == channels and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.three(x) + self.one(x)
        return functional.relu(y if self.same is None else y + self.same(x))


def repvgg_train() -> nn.Module:
    """Ding et al. 2021 as it is trained: a 3 x 3, a 1 x 1 and a norm side by side, also at the beginning."""
    blocks = _RepVggBlock(3, 16, 2), _RepVggBlock(16, 16, 1), _RepVggBlock(16, 32, 2)
    return nn.Sequential(*blocks, classifier(32))


def repvgg_deploy() -> nn.Module:
    """Ding et al. 2021 as it is deployed: convolutions with biases."""
    layers: list[nn.Module] = []
    for (before, after), stride in zip(pairwise((3, 16, 16, 32)), (2, 1, 2), strict=True):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.ReLU()]
    return nn.Sequential(*layers, classifier(32))


class _Res2NetBlock(nn.Module):
    """Gao et al. 2021: parts of the channels one after the other, each with the one before added."""

    def __init__(self, channels: int, parts: int = 4) -> None:
        super().__init__()
        width = channels // parts
        self.first = conv_norm(channels, channels, 1)
        self.convolutions = nn.ModuleList(conv_norm(width, width) for _ in range(parts - 1))
        self.last = conv_norm(channels, channels, 1, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.chunk(self.first(x), len(self.convolutions) + 1, 1)
        made = [parts[0]]
        for part, convolution in zip(parts[1:], self.convolutions, strict=True):
            made.append(convolution(part if len(made) == 1 else part + made[-1]))
        return functional.relu(x + self.last(torch.cat(made, 1)))


def res2net() -> nn.Module:
    """Gao et al. 2021."""
    return nn.Sequential(conv_norm(3, 32, 3, 2), _Res2NetBlock(32), _Res2NetBlock(32), classifier(32))


class _Tree(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.left, self.right = basic(channels, channels), basic(channels, channels)
        self.root = conv_norm(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        left = self.left(x)
        y: Tensor = self.root(torch.cat([left, self.right(left)], 1))
        return y


def dla() -> nn.Module:
    """Yu et al. 2018: blocks are joined in a tree."""
    return nn.Sequential(
        conv_norm(3, 16), _Tree(16), nn.MaxPool2d(2), conv_norm(16, 32), _Tree(32), classifier(32)
    )


class _Exchange(nn.Module):
    """Sun et al. 2019: two resolutions side by side that add to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = basic(16, 16), basic(32, 32)
        self.down, self.up = conv_norm(16, 32, 3, 2, activation=None), conv_norm(32, 16, 1, activation=None)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        fine, coarse = self.fine(fine), self.coarse(coarse)
        large = functional.interpolate(self.up(coarse), scale_factor=2.0, mode="nearest")
        return functional.relu(fine + large), functional.relu(coarse + self.down(fine))


class HrNet(nn.Module):
    """Sun et al. 2019, two exchanges."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.begin = conv_norm(3, 16, 3, 2), conv_norm(16, 32, 3, 2)
        self.first, self.second = _Exchange(), _Exchange()
        self.join = conv_norm(32, 32, 3, 2)
        self.widen = conv_norm(16, 32, 3, 2)
        self.head = classifier(32)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.stem(x)
        fine, coarse = self.second(*self.first(fine, self.begin(fine)))
        y: Tensor = self.head(self.join(coarse + self.widen(fine)))
        return y


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.1)


def darknet() -> nn.Module:
    """Redmon and Farhadi 2018: LeakyReLU everywhere."""

    def block(channels: int) -> nn.Module:
        inner = conv_norm(channels, channels // 2, 1, activation=_leaky)
        return Shortcut(nn.Sequential(inner, conv_norm(channels // 2, channels, activation=_leaky)))

    return nn.Sequential(
        conv_norm(3, 16, activation=_leaky),
        conv_norm(16, 32, 3, 2, activation=_leaky),
        block(32),
        conv_norm(32, 64, 3, 2, activation=_leaky),
        block(64),
        classifier(64),
    )


class CrossStage(nn.Module):
    """Wang et al. 2020: half of the channels goes around the blocks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.blocks = nn.Sequential(basic(half, half), basic(half, half))
        self.join = conv_norm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        around, through = x.chunk(2, 1)
        y: Tensor = self.join(torch.cat([around, self.blocks(through)], 1))
        return y


def cspnet() -> nn.Module:
    """Wang et al. 2020."""
    return nn.Sequential(
        conv_norm(3, 32, 3, 2), CrossStage(32), conv_norm(32, 64, 3, 2), CrossStage(64), classifier(64)
    )


class BlurPool(nn.Module):
    """Zhang 2019: a fixed binomial filter in front of taking every second pixel."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", (row[:, None] * row[None, :]).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
        return functional.conv2d(padded, self.kernel, stride=2, groups=len(self.kernel))


def max_blur_pool() -> nn.Module:
    """Zhang 2019: pooling in two steps, with mirrored borders."""
    pool = nn.Sequential(nn.MaxPool2d(2, 1), BlurPool(16))
    return nn.Sequential(conv_norm(3, 16), pool, basic(16, 32, 2), classifier(32))


def vovnet() -> nn.Module:
    """Lee et al. 2019: all layers of a block are joined once, at its end."""

    class _Aggregate(nn.Module):
        def __init__(self, channels: int, inner: int) -> None:
            super().__init__()
            self.layers = nn.ModuleList(conv_norm(channels if k == 0 else inner, inner) for k in range(3))
            self.join = conv_norm(channels + 3 * inner, channels, 1)

        def forward(self, x: Tensor) -> Tensor:
            made = [x]
            for layer in self.layers:
                made.append(layer(made[-1]))
            y: Tensor = self.join(torch.cat(made, 1))
            return y

    return nn.Sequential(conv_norm(3, 32, 3, 2), _Aggregate(32, 16), nn.MaxPool2d(2), classifier(32))


def inception() -> nn.Module:
    """Szegedy et al. 2016: four branches, also with kernels of 1 x 7 and 7 x 1."""

    def module(channels: int) -> nn.Module:
        long = nn.Sequential(
            conv_norm(channels, 8, 1),
            nn.Conv2d(8, 8, (1, 7), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(8, 16, (7, 1), padding=(3, 0)),
            nn.ReLU(),
        )
        pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1), conv_norm(channels, 8, 1))
        three = nn.Sequential(conv_norm(channels, 8, 1), conv_norm(8, 16))
        return Joined(conv_norm(channels, 8, 1), three, long, pooled)

    return nn.Sequential(
        conv_norm(3, 16, 3, 2), module(16), nn.MaxPool2d(3, 2, 1), module(48), classifier(48)
    )
