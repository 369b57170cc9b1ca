"""Residual networks in torch: He et al. 2015, "Deep Residual Learning for Image Recognition", and variants.

`Architecture` has the parameters; both forms share the blocks and differ in stem and widths. The networks
take normalised float images [N, C, H, W].
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.architecture import Architecture
from pipeline.models.blocks import Block, PreActivationBlock, convolution

EXPANSION = 4
"""A bottleneck's output channels for each of its inner ones (table 1)."""


def build(architecture: Architecture, channels: int, classes: int) -> nn.Module:
    """Make a freshly initialised network for images of `channels` planes."""
    family = {"cifar": CifarResNet, "imagenet": ImageNetResNet}[architecture.family]
    return family(architecture, channels, classes)


class CifarResNet(nn.Module):
    """Depth 6n+2, for small images; keys conv1, bn1, layerS.B.{conv1,bn1,conv2,bn2}, linear.

    In a pre-activation network bn1 follows the last block.
    """

    def __init__(self, architecture: Architecture, channels: int, classes: int) -> None:
        super().__init__()
        self.preactivation = architecture.preactivation
        stem = 16 // architecture.narrow
        widths = (stem, *(planes * stem * architecture.width for planes in (1, 2, 4)))
        self.conv1 = convolution(channels, stem, kernel=3)
        self.bn1 = nn.BatchNorm2d(widths[-1] if self.preactivation else stem)
        self.layer1, self.layer2, self.layer3 = (
            _stage(architecture, stage, width_in, width, planes=width)
            for stage, (width_in, width) in enumerate(pairwise(widths))
        )
        self.linear = nn.Linear(widths[-1], classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] for normalised images [N, C, H, W]."""
        x = self.conv1(x)
        x = x if self.preactivation else functional.relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = functional.relu(self.bn1(x)) if self.preactivation else x
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        logits: Tensor = self.linear(x)
        return logits


class ImageNetResNet(nn.Module):
    """ResNet-18/34/50/101/152 for images of 224 pixels; torchvision's keys (conv1, bn1, layer1..4, fc).

    In a pre-activation network bn1 follows the last block, as in Keras and timm's resnetv2.
    """

    def __init__(self, architecture: Architecture, channels: int, classes: int) -> None:
        super().__init__()
        self.preactivation = architecture.preactivation
        stem = 64 // architecture.narrow
        narrow = (stem, 2 * stem, 4 * stem, 8 * stem)
        planes = tuple(width * architecture.width for width in narrow)
        widths = (stem, *((width * EXPANSION for width in narrow) if architecture.bottleneck else planes))
        self.conv1 = convolution(channels, stem, kernel=7, stride=2, bias=architecture.keras)
        self.zeros_around_pool = architecture.keras
        self.bn1 = nn.BatchNorm2d(widths[-1] if self.preactivation else stem)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(architecture, stage, width_in, width, planes[stage])
            for stage, (width_in, width) in enumerate(pairwise(widths))
        )
        self.fc = nn.Linear(widths[-1], classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] for normalised images [N, C, H, W]."""
        x = self.conv1(x)
        x = x if self.preactivation else functional.relu(self.bn1(x))
        if self.zeros_around_pool:
            x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), kernel_size=3, stride=2)
        else:
            x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = functional.relu(self.bn1(x)) if self.preactivation else x
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        logits: Tensor = self.fc(x)
        return logits


def _stage(a: Architecture, stage: int, width_in: int, width: int, planes: int) -> nn.Sequential:
    """Consecutive blocks; the first changes the width and, after the first stage, the resolution.

    In Keras' form the last block halves the resolution, except in the last stage.
    """
    block, count = PreActivationBlock if a.preactivation else Block, a.blocks[stage]
    strides = [1] * count
    if a.keras:
        strides[-1] = 1 if stage == len(a.blocks) - 1 else 2
    else:
        strides[0] = 1 if stage == 0 else 2
    first = block(a, width_in, width, planes, strides[0])
    return nn.Sequential(first, *(block(a, width, width, planes, stride) for stride in strides[1:]))


def _initialise(network: nn.Module) -> None:
    """He et al. 2015, "Delving Deep into Rectifiers", equation 14; other parameters keep torch's defaults."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def classifier(network: nn.Module) -> nn.Linear:
    """Return the last layer, whose outputs are the classes."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def silence_branches(network: nn.Module) -> None:
    """Zero the scale of each residual branch's last norm: every block begins as its shortcut.

    Goyal et al. 2017, "Accurate, Large Minibatch SGD", section 5.1. Plain and pre-activation networks have no
    such norm, and stay as they are.
    """
    for module in network.modules():
        if isinstance(module, Block) and module.last_norm is not None:
            nn.init.zeros_(module.last_norm.weight)


def take_rgb(network: nn.Module) -> None:
    """Reverse the input channels of the first convolution: a network trained on BGR then takes RGB."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        first.weight.copy_(first.weight.flip(1))


class FromPixels(nn.Module):
    """A network on raw pixels, uint8 [N, H, W, C], normalised as in every exported model."""

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self._gray = len(mean) == 1
        self.register_buffer("offset", torch.tensor([255 * m for m in mean]), persistent=False)
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]), persistent=False)
        self.offset: Tensor
        self.scale: Tensor

    def normalised(self, image: Tensor) -> Tensor:
        """Return float [N, C, H, W] for uint8 [N, H, W, C]; in memory the channels stay last."""
        pixels = image.to(self.offset.dtype)
        if self._gray:
            return ((pixels - self.offset) * self.scale).permute(0, 3, 1, 2)
        # onnxruntime broadcasts a value per channel ten times slower if the channels are last
        offset, scale = (values[:, None, None] for values in (self.offset, self.scale))
        return (pixels.permute(0, 3, 1, 2) - offset) * scale

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        logits: Tensor = self.network(self.normalised(image))
        return logits
