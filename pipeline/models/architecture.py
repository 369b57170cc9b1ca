"""The family of residual networks by its parameters. Nothing here imports torch."""

from dataclasses import dataclass
from typing import Literal

Family = Literal["cifar", "imagenet"]
Shortcut = Literal["A", "B", "C", "none"]

IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks a stage by depth (He et al. 2015, table 1)."""

BOTTLENECKS_FROM = 50
"""Depth from which the blocks of the ImageNet form are bottlenecks (table 1)."""


@dataclass(frozen=True)
class Architecture:
    """A network's parameters, apart from its first and last layer. Raises ValueError for a wrong depth.

    family: "cifar" is section 4.2 of He et al. 2015, "Deep Residual Learning for Image Recognition", with
    6n+2 layers; "imagenet" is its table 1.
    shortcut: the options of section 3.3, where a block changes its dimensions: A, every second pixel, new
    channels are zero; B, a projection; C, projections in every block; "none" is the plain network. None: as
    published, A for the CIFAR form and B for the ImageNet form.
    preactivation: norm and ReLU come before each convolution (He et al. 2016, "Identity Mappings in Deep
    Residual Networks").
    width: factor on the channels of the stages, or of a bottleneck's 3x3 convolution (Zagoruyko and Komodakis
    2016, "Wide Residual Networks"; torchvision's wide_resnet50_2 has 2).
    narrow: divisor of all channels, also the first layer's: a fourth of the MACs for each factor of 2.
    keras: a pre-activation network like Keras' ResNet50V2: a stage strides in its last block, whose shortcut
    takes every second pixel; convolutions that no norm follows have biases; the first pooling is padded with
    zeros.
    stride_first: whether a bottleneck strides in its first 1x1 convolution ("v1": the paper, Caffe, Keras)
    and not in its 3x3 ("v1.5": torchvision, timm).
    """

    family: Family
    depth: int
    shortcut: Shortcut | None = None
    preactivation: bool = False
    width: int = 1
    narrow: int = 1
    stride_first: bool = False
    keras: bool = False

    def __post_init__(self) -> None:
        if self.family == "imagenet" and self.depth not in IMAGENET_BLOCKS:
            raise ValueError(
                f"an ImageNet ResNet has {', '.join(map(str, IMAGENET_BLOCKS))} layers, not {self.depth}"
            )
        if self.family == "cifar" and (self.depth < 8 or (self.depth - 2) % 6):
            raise ValueError(
                f"a CIFAR ResNet has 6n+2 layers (8, 14, 20, 32, 44, 56, 110 ...), not {self.depth}"
            )
        if self.width < 1:
            raise ValueError(f"a network cannot be {self.width} times as wide")
        if self.narrow not in (1, 2, 4):
            raise ValueError(f"a network can be 2 or 4 times as narrow, not {self.narrow}")
        if self.stride_first and not self.bottleneck:
            raise ValueError("only bottlenecks, from 50 layers on, can stride in their 1x1 convolution")
        if self.keras and not (self.preactivation and self.bottleneck and self.connection == "B"):
            raise ValueError("Keras has pre-activation networks of 50, 101 and 152 layers with option B only")

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks a stage."""
        return IMAGENET_BLOCKS[self.depth] if self.family == "imagenet" else ((self.depth - 2) // 6,) * 3

    @property
    def bottleneck(self) -> bool:
        """Whether the blocks have three convolutions, 1x1, 3x3 and 1x1, and not two of 3x3."""
        return self.family == "imagenet" and self.depth >= BOTTLENECKS_FROM

    @property
    def connection(self) -> Shortcut:
        """The shortcut, chosen or as published."""
        return self.shortcut or ("B" if self.family == "imagenet" else "A")

    @property
    def convolutions(self) -> int:
        """How many convolutions there are, projections included."""
        first_changes = self.bottleneck or self.width > 1
        changes = len(self.blocks) - 1 + first_changes
        projections = {"none": 0, "A": 0, "B": changes, "C": sum(self.blocks)}[self.connection]
        return 1 + sum(self.blocks) * (3 if self.bottleneck else 2) + projections

    def __str__(self) -> str:
        kind = "plain network" if self.connection == "none" else "ResNet"
        first = f"{kind}, {self.depth} layers" if kind != "ResNet" else f"ResNet-{self.depth}"
        parts = [
            "pre-activation" if self.preactivation else "",
            f"{self.width} x as wide" if self.width > 1 else "",
            f"{self.narrow} x as narrow" if self.narrow > 1 else "",
            f"option {self.shortcut}" if self.shortcut in ("A", "B", "C") else "",
            "v1: stride in the 1x1" if self.stride_first else "",
            "Keras' V2: stride in a stage's last block" if self.keras else "",
            "CIFAR form" if self.family == "cifar" else "ImageNet form",
        ]
        return f"{first} ({', '.join(part for part in parts if part)})"
