"""Parses model names: a name describes how a network is built, so every member of the family has one.

resnet50            resnet, plain (no shortcuts), preresnet (pre-activation) and the number of layers: 18,
                    34, 50, 101 and 152 are the ImageNet form, 6n+2 the CIFAR form (50 is both: ImageNet)
wrn16-4             wide residual network of 6n+4 layers, 4 times as wide, pre-activation
-optiona, b, c      the shortcut, where it is not the published one
-v1                 stride in a bottleneck's 1x1 convolution, as in Caffe and Keras
-keras              pre-activation as in Keras' ResNet50V2: stride in a stage's last block, biases
-wide2              2 times as wide within the blocks
-narrow2            2 times as narrow, first layer included
-cifar10, -fashion  the images: size, channels, normalisation, 10 classes
-grocery            the photos of groceries, 43 classes, 128 pixels
-112px              the side of the input in pixels
"""

import re
from dataclasses import dataclass

from pipeline.models.architecture import IMAGENET_BLOCKS, Architecture, Family, Shortcut

NETWORK = re.compile(r"(resnet|plain|preresnet)(\d+)|wrn(\d+)-(\d+)")
OPTION = re.compile(
    r"option(?P<shortcut>[abc])|wide(?P<width>\d+)|narrow(?P<narrow>\d+)|(?P<v1>v1)|(?P<keras>keras)|(?P<side>\d+)px"
)
IMAGES = ("cifar10", "fashion", "grocery")
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Parsed:
    """A parsed name. images: one of IMAGES or None; side: in pixels, or None for the usual."""

    architecture: Architecture
    images: str | None
    side: int | None


def parse(name: str) -> Parsed | None:
    """Parse a name; None if it is not a model's. Raises ValueError for networks that cannot exist."""
    network = NETWORK.match(name)
    if network is None or name[network.end() : network.end() + 1] not in ("", "-"):
        return None
    found: dict[str, str] = {}
    for part in name[network.end() :].split("-")[1:]:
        option = OPTION.fullmatch(part)
        new = (
            {"images": part}
            if part in IMAGES
            else {key: value for key, value in option.groupdict().items() if value}
            if option
            else {}
        )
        if not new or new.keys() & found.keys():
            return None
        found |= new
    side = int(found["side"]) if "side" in found else None
    if side is not None and not 8 <= side <= LARGEST_SIDE:
        raise ValueError(f"the input's side is 8 to {LARGEST_SIDE} pixels, not {side}")
    return Parsed(_architecture(network, found), found.get("images"), side)


def _architecture(network: re.Match[str], found: dict[str, str]) -> Architecture:
    kind, layers, wide_layers, factor = network.groups()
    shortcut: Shortcut | None = None
    match found.get("shortcut"):
        case "a":
            shortcut = "A"
        case "b":
            shortcut = "B"
        case "c":
            shortcut = "C"
    if wide_layers:  # their count includes the projections of the last two stages
        return Architecture("cifar", int(wide_layers) - 2, shortcut or "B", True, int(factor))
    if kind == "plain":
        if shortcut:
            raise ValueError("a plain network has no shortcut")
        shortcut = "none"
    depth = int(layers)
    small = found.get("images") in ("cifar10", "fashion")
    family: Family = "imagenet" if depth in IMAGENET_BLOCKS and not small else "cifar"
    return Architecture(
        family,
        depth,
        shortcut,
        preactivation=kind == "preresnet",
        width=int(found.get("width", 1)),
        narrow=int(found.get("narrow", 1)),
        stride_first="v1" in found,
        keras="keras" in found,
    )
