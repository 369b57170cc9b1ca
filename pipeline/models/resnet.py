"""Residual networks in torch: He et al. 2015, "Deep Residual Learning for Image Recognition".

Two families share one basic block. `CifarResNet` is section 4.2 (3x3 stem, three stages, option A shortcuts
without parameters); `ImageNetResNet` is table 1 with torchvision's state-dict keys and the stride of a
bottleneck in its 3x3 convolution ("v1.5"). Both take normalised float images [N, C, H, W].
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.zoo import Architecture

IMAGENET_STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks a stage by depth; from 50 layers on the blocks are bottlenecks (table 1)."""


def build(architecture: Architecture, channels: int, classes: int) -> nn.Module:
    """Make a freshly initialised network for images of `channels` planes. ValueError for an unknown depth."""
    family = {"cifar": CifarResNet, "imagenet": ImageNetResNet}[architecture.family]
    return family(architecture.depth, channels, classes)


class CifarResNet(nn.Module):
    """ResNet of depth 6n+2 for small images; keys conv1, bn1, layerS.B.{conv1,bn1,conv2,bn2}, linear."""

    def __init__(self, depth: int, channels: int, classes: int) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if blocks < 1 or rest:
            raise ValueError(f"a CIFAR ResNet has 6n+2 layers (8, 14, 20, 32, 44, 56, 110 ...), not {depth}")
        self.conv1 = _conv(channels, 16, kernel=3)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(BasicBlock, PadShortcut, 16, 16, blocks, stride=1)
        self.layer2 = _stage(BasicBlock, PadShortcut, 16, 32, blocks, stride=2)
        self.layer3 = _stage(BasicBlock, PadShortcut, 32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] for normalised images [N, C, H, W]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        logits: Tensor = self.linear(x)
        return logits


class ImageNetResNet(nn.Module):
    """ResNet-18/34/50/101/152 for images of 224 pixels; torchvision's keys (conv1, bn1, layer1..4, fc)."""

    def __init__(self, depth: int, channels: int, classes: int) -> None:
        super().__init__()
        if depth not in IMAGENET_STAGES:
            raise ValueError(
                f"an ImageNet ResNet has {', '.join(map(str, IMAGENET_STAGES))} layers, not {depth}"
            )
        block: Block = Bottleneck if depth >= 50 else BasicBlock
        self.conv1 = _conv(channels, 64, kernel=7, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, *(planes * block.expansion for planes in (64, 128, 256, 512)))
        stages = zip(pairwise(widths), IMAGENET_STAGES[depth], (1, 2, 2, 2), strict=True)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(block, ProjectionShortcut, width_in, width, blocks, stride)
            for (width_in, width), blocks, stride in stages
        )
        self.fc = nn.Linear(widths[-1], classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes] for normalised images [N, C, H, W]."""
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
        logits: Tensor = self.fc(x)
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, `downsample`, which has no parameters unless it must."""

    expansion = 1

    def __init__(self, width_in: int, width: int, stride: int, downsample: nn.Module) -> None:
        super().__init__()
        self.conv1 = _conv(width_in, width, kernel=3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, kernel=3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(residual(x) + shortcut(x))."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1 down to a quarter of the width, 3x3 (with the stride: v1.5), 1x1 up again, and a shortcut."""

    expansion = 4

    def __init__(self, width_in: int, width: int, stride: int, downsample: nn.Module) -> None:
        super().__init__()
        planes = width // self.expansion
        self.conv1 = _conv(width_in, planes, kernel=1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv(planes, planes, kernel=3, stride=stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = _conv(planes, width, kernel=1)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(residual(x) + shortcut(x))."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + self.downsample(x))


class PadShortcut(nn.Module):
    """Option A of section 3.3: every second pixel, and new channels that are zero, half on each side."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.before = (width - width_in) // 2
        self.after = width - width_in - self.before
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, H / stride, W / stride]."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class ProjectionShortcut(nn.Sequential):
    """Option B of section 3.3: a 1x1 convolution and its batch norm."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__(_conv(width_in, width, kernel=1, stride=stride), nn.BatchNorm2d(width))


Block = type[BasicBlock | Bottleneck]
Shortcut = type[PadShortcut | ProjectionShortcut]


def _stage(
    block: Block, shortcut: Shortcut, width_in: int, width: int, blocks: int, stride: int
) -> nn.Sequential:
    """Blocks in a row; only the first can change width and resolution, and needs a shortcut that does."""
    same = width_in == width and stride == 1
    first = block(width_in, width, stride, nn.Identity() if same else shortcut(width_in, width, stride))
    return nn.Sequential(first, *(block(width, width, 1, nn.Identity()) for _ in range(blocks - 1)))


def _conv(channels_in: int, channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=False)


def _initialise(network: nn.Module) -> None:
    """He et al. 2015, "Delving Deep into Rectifiers", equation 14; the rest keeps torch's defaults."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class FromPixels(nn.Module):
    """A network on raw pixels, uint8 [N, H, W, C], normalised as in every exported model."""

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("offset", torch.tensor([255 * m for m in mean]), persistent=False)
        self.register_buffer("scale", torch.tensor([1 / (255 * s) for s in std]), persistent=False)
        self.offset: Tensor
        self.scale: Tensor

    def normalised(self, image: Tensor) -> Tensor:
        """Return float [N, C, H, W] for uint8 [N, H, W, C]; in memory the channels stay last."""
        return ((image.to(self.offset.dtype) - self.offset) * self.scale).permute(0, 3, 1, 2)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [N, classes]."""
        logits: Tensor = self.network(self.normalised(image))
        return logits
