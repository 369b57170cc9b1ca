"""Networks without shortcuts, old and new."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.matrix.architectures.building_blocks import (
    CLASSES,
    SIDE,
    Joined,
    SqueezeExcite,
    classifier,
    conv_norm,
)


def lenet() -> nn.Module:
    """LeCun et al. 1998: tanh, average pooling, three dense layers."""
    convolutions = nn.Conv2d(3, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh()
    dense = nn.Linear(16 * 25, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, CLASSES)
    return nn.Sequential(*convolutions, nn.AvgPool2d(2), nn.Flatten(), *dense)


def alexnet() -> nn.Module:
    """Krizhevsky et al. 2012: large strided kernels, local response normalisation, dropout."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(16, 32, 5, padding=2, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(32 * 9, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
    )


def vgg() -> nn.Module:
    """Simonyan and Zisserman 2014, with norms."""
    first = conv_norm(3, 16), conv_norm(16, 16), nn.MaxPool2d(2)
    second = conv_norm(16, 32), conv_norm(32, 32), nn.MaxPool2d(2)
    dense = nn.Flatten(), nn.Linear(32 * 64, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, CLASSES)
    return nn.Sequential(*first, *second, *dense)


def plain() -> nn.Module:
    """He et al. 2016: a residual network without its shortcuts."""
    return nn.Sequential(
        conv_norm(3, 16), conv_norm(16, 16), conv_norm(16, 32, 3, 2), conv_norm(32, 32), classifier(32)
    )


def nin() -> nn.Module:
    """Lin et al. 2013: 1 x 1 convolutions, the classes are maps whose mean is taken."""
    first = conv_norm(3, 16, 5), conv_norm(16, 16, 1), nn.MaxPool2d(3, 2, 1)
    last = conv_norm(16, 32, 3), nn.Conv2d(32, CLASSES, 1), nn.ReLU()
    return nn.Sequential(*first, *last, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def squeezenet() -> nn.Module:
    """Iandola et al. 2016: fire modules, pooling with ceil_mode, a convolution as classifier."""

    def fire(channels: int) -> nn.Module:
        one = nn.Sequential(nn.Conv2d(8, 16, 1), nn.ReLU())
        three = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        return nn.Sequential(nn.Conv2d(channels, 8, 1), nn.ReLU(), Joined(one, three))

    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    last = nn.Dropout(), nn.Conv2d(32, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(3, 32, 3, 2), nn.ReLU(), pool, fire(32), fire(32), *last)


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layers(x)], 1)


def densenet() -> nn.Module:
    """Huang et al. 2017: what a layer reads stays beside what it makes."""
    transition = nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 1, bias=False), nn.AvgPool2d(2)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        *(_DenseLayer(16, 8), _DenseLayer(24, 8)),
        *transition,
        *(_DenseLayer(16, 8), nn.BatchNorm2d(24), nn.ReLU()),
        classifier(24),
    )


class _HighwayLayer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.work, self.gate = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x))
        return functional.relu(self.work(x)) * gate + x * (1 - gate)


def highway() -> nn.Module:
    """Srivastava et al. 2015: a gate between what a layer makes and what it reads."""
    return nn.Sequential(conv_norm(3, 16, 3, 2), _HighwayLayer(16), _HighwayLayer(16), classifier(16))


class CoordConv(nn.Module):
    """Liu et al. 2018: the coordinates of a pixel are two more channels, also of the picture."""

    places: Tensor

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        line = torch.linspace(-1, 1, side)
        places = torch.stack([line[:, None].expand(side, side), line[None, :].expand(side, side)])
        self.register_buffer("places", places[None].clone())
        self.convolution = conv_norm(5, channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        places = self.places.expand(x.shape[0], -1, -1, -1)
        y: Tensor = self.convolution(torch.cat([x, places], 1))
        return y


def coord_conv() -> nn.Module:
    """Liu et al. 2018."""
    return nn.Sequential(CoordConv(16, SIDE), conv_norm(16, 32, 3, 2), classifier(32))


class SpatialPyramid(nn.Module):
    """He et al. 2015: pools of several sizes, side by side, in front of the dense layers."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([functional.adaptive_max_pool2d(x, n).flatten(1) for n in (4, 2, 1)], 1)


def spp() -> nn.Module:
    """He et al. 2015."""
    return nn.Sequential(
        conv_norm(3, 16, 3, 2), conv_norm(16, 16, 3, 2), SpatialPyramid(), nn.Linear(16 * 21, CLASSES)
    )


def prelu() -> nn.Module:
    """He et al. 2015: a slope for each channel that is trained."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 32)):
        slopes = nn.PReLU(after)
        nn.init.uniform_(slopes.weight, 0.05, 0.4)
        layers += [conv_norm(before, after, 3, 2, activation=None), slopes]
    return nn.Sequential(*layers, classifier(32))


def activations() -> nn.Module:
    """Rare activations in one network: Mish, ELU, GELU, Softplus and Hardtanh."""
    stem = conv_norm(3, 16, 3, 2, activation=nn.Mish)
    layers = conv_norm(16, 16, activation=nn.ELU), conv_norm(16, 32, 3, 2, activation=nn.GELU)
    last = conv_norm(32, 32, activation=nn.Softplus), conv_norm(32, 32, activation=nn.Hardtanh)
    return nn.Sequential(stem, *layers, *last, SqueezeExcite(32), classifier(32))
