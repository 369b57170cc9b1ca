"""Renames weights of other libraries to the names that edgec's networks have.

torchvision's names, and those of timm's `resnet*`, need no change. timm's `resnetv2_*` (pre-activation) are
renamed here; for Keras' see `keras.py`.
"""

import re

from torch import Tensor

TIMM_V2 = (
    (re.compile(r"^stem\.conv\."), "conv1."),
    (re.compile(r"^norm\."), "bn1."),
    (re.compile(r"^head\.fc\."), "fc."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.norm(\d)\."), r"layer\1.\2.bn\3."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.downsample\.conv\."), r"layer\1.\2.downsample.0."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\."), r"layer\1.\2."),
)


HEAD_IN_SEQUENTIAL = re.compile(r"^(fc|linear)\.\d+\.(weight|bias)$")
"""A classifier with Dropout before it: nn.Sequential(nn.Dropout(), nn.Linear(...))."""


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of timm's `resnetv2_*` and of a classifier inside Sequential; keep the others."""
    heads = {key for key in weights if HEAD_IN_SEQUENTIAL.match(key)}
    if len(heads) == 2:
        weights = {HEAD_IN_SEQUENTIAL.sub(r"\1.\2", key): value for key, value in weights.items()}
    if "stem.conv.weight" not in weights:
        return weights
    found = {}
    for key, value in weights.items():
        new = key
        for pattern, ours in TIMM_V2:
            new, hits = pattern.subn(ours, key)
            if hits:
                break
        new = re.sub(r"^layer(\d)", lambda stage: f"layer{int(stage[1]) + 1}", new) if new != key else new
        found[new] = value.flatten(1) if new == "fc.weight" else value  # a 1x1 convolution there
    return found
