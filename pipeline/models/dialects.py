"""Renames weights of other libraries to the names that edgec's networks have.

torchvision's names, and those of timm's `resnet*`, need no change. timm's `resnetv2_*` (pre-activation),
those of transformers' ResNetForImageClassification, and classifiers of any name are renamed here; for Keras'
see `keras.py`.
"""

import re
from collections.abc import Mapping

from torch import Tensor

TIMM_V2 = (
    (re.compile(r"^stem\.conv\."), "conv1."),
    (re.compile(r"^norm\."), "bn1."),
    (re.compile(r"^head\.fc\."), "fc."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.norm(\d)\."), r"layer\1.\2.bn\3."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.downsample\.conv\."), r"layer\1.\2.downsample.0."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\."), r"layer\1.\2."),
)


TRANSFORMERS = (
    (re.compile(r"^resnet\.embedder\.embedder\.convolution\."), "conv1."),
    (re.compile(r"^resnet\.embedder\.embedder\.normalization\."), "bn1."),
    (re.compile(r"\.shortcut\.convolution\."), ".downsample.0."),
    (re.compile(r"\.shortcut\.normalization\."), ".downsample.1."),
    (re.compile(r"\.layer\.(\d{1,4})\.convolution\."), lambda found: f".conv{int(found[1]) + 1}."),
    (re.compile(r"\.layer\.(\d{1,4})\.normalization\."), lambda found: f".bn{int(found[1]) + 1}."),
    (
        re.compile(r"^resnet\.encoder\.stages\.(\d{1,4})\.layers\.(\d+)\."),
        lambda found: f"layer{int(found[1]) + 1}.{found[2]}.",
    ),
)
"""transformers, models/resnet/modeling_resnet.py: ResNetEmbeddings, ResNetEncoder."""

HEAD_IN_SEQUENTIAL = re.compile(r"^(fc|linear)\.\d+\.(weight|bias)$")
"""A classifier with Dropout before it: nn.Sequential(nn.Dropout(), nn.Linear(...))."""


def classifier_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the only linear layer with a bias, where no other weight is a matrix."""
    matrices = [key for key, value in tensors.items() if value.ndim == 2 and key.endswith(".weight")]
    if len(matrices) != 1:
        return None
    name = matrices[0].removesuffix(".weight")
    bias = tensors.get(f"{name}.bias")
    return name if bias is not None and bias.shape == tensors[matrices[0]].shape[:1] else None


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of timm's `resnetv2_*`, of transformers, and of a classifier; keep the others."""
    if "resnet.embedder.embedder.convolution.weight" in weights:
        weights = {_of_transformers(key): value for key, value in weights.items()}
    heads = {key for key in weights if HEAD_IN_SEQUENTIAL.match(key)}
    if len(heads) == 2:
        weights = {HEAD_IN_SEQUENTIAL.sub(r"\1.\2", key): value for key, value in weights.items()}
    head = classifier_of(weights)
    if head is not None and head not in ("fc", "linear"):
        ours = "fc" if "layer4.0.conv1.weight" in weights else "linear"
        of_head = {f"{head}.{part}": f"{ours}.{part}" for part in ("weight", "bias")}
        weights = {of_head.get(key, key): value for key, value in weights.items()}
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


def _of_transformers(key: str) -> str:
    for pattern, ours in TRANSFORMERS:
        key = pattern.sub(ours, key)
    return key
