"""Weights under the names that other libraries give them, brought under ours.

torchvision's names, and timm's for its `resnet*`, are ours. timm's `resnetv2_*` (pre-activation) are renamed
here; Keras' applications also store other shapes, biases before norms, and expect other pixels: see
`from_keras`.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import CheckpointError

Arrays = Mapping[str, NDArray[np.float32]]

TIMM_V2 = (
    (re.compile(r"^stem\.conv\."), "conv1."),
    (re.compile(r"^norm\."), "bn1."),
    (re.compile(r"^head\.fc\."), "fc."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.norm(\d)\."), r"layer\1.\2.bn\3."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.downsample\.conv\."), r"layer\1.\2.downsample.0."),
    (re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\."), r"layer\1.\2."),
)

KERAS_MEAN = (123.68, 116.779, 103.939)
"""What Keras subtracts, of RGB in grey levels; its networks take the channels as BGR."""
KERAS_EPSILON = 1.001e-5
OUR_EPSILON = 1e-5

KERAS_BLOCKS = {53: (3, 4, 6, 3), 104: (3, 4, 23, 3), 155: (3, 8, 36, 3)}
"""Blocks a stage of ResNet-50, -101 and -152 by their number of convolutions."""


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return timm's `resnetv2_*` under our names; other weights as they are."""
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


def read_keras(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read an .h5 or .weights.h5 file of Keras' ResNet50, ResNet101 or ResNet152: "layer/kernel" and so on.

    Raises CheckpointError for a file that is damaged, or no such network.
    """
    import h5py

    values: dict[str, NDArray[np.float32]] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            *_, layer, variable = name.removesuffix(":0").replace("/vars/", "/").split("/")
            values[f"{layer}/{variable}"] = np.asarray(item, np.float32)

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged or no HDF5 file ({error}).") from error
    if "conv2d/0" in values:
        values = _named(values, path)
    if "conv1_conv/kernel" not in values or any("preact" in key for key in values):
        raise CheckpointError(
            f"{path} is none of Keras' ResNet50, ResNet101 and ResNet152. Export another network as ONNX and"
            " give that as the model."
        )
    return values


def _named(values: Arrays, path: Path) -> dict[str, NDArray[np.float32]]:
    """Give Keras 3's numbered layers their names: it numbers them in the order of the model's layers."""
    convolutions = sum(re.fullmatch(r"conv2d(_\d+)?/0", key) is not None for key in values)
    if convolutions not in KERAS_BLOCKS:
        raise CheckpointError(
            f"{path} has {convolutions} convolutions; Keras' ResNet50, ResNet101 and ResNet152 have"
            f" {', '.join(map(str, KERAS_BLOCKS))}."
        )
    layers = ["conv1"]
    for stage, blocks in enumerate(KERAS_BLOCKS[convolutions], start=2):
        for block in range(1, blocks + 1):
            order = "1203" if block == 1 else "123"
            layers += [f"conv{stage}_block{block}_{n}" for n in order]
    named = {}
    for number, layer in enumerate(layers):
        suffix = f"_{number}" if number else ""
        for kind, ours, variables in (
            ("conv2d", "conv", ("kernel", "bias")),
            ("batch_normalization", "bn", ("gamma", "beta", "moving_mean", "moving_variance")),
        ):
            for i, variable in enumerate(variables):
                if (key := f"{kind}{suffix}/{i}") in values:
                    named[f"{layer}_{ours}/{variable}"] = values[key]
    named |= {
        f"predictions/{v}": values[f"dense/{i}"]
        for i, v in enumerate(("kernel", "bias"))
        if f"dense/{i}" in values
    }
    return named


def from_keras(values: Arrays, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """Return weights under our names for inputs normalised with `mean` and `std`.

    Biases of convolutions move into the norms behind them, and so does the difference of epsilons. The first
    convolution takes RGB and our normalisation; what differs from Keras' mean goes into its norm, too, which
    is exact where the kernel lies inside the image, and off by half a grey level on the padded border.
    """
    weights: dict[str, Tensor] = {}
    for key, value in values.items():
        layer, variable = key.split("/")
        if layer in ("predictions", "probs", "dense", "fc1000"):
            name = "fc.weight" if variable == "kernel" else "fc.bias"
            weights[name] = torch.from_numpy(value.T.copy())
        elif variable == "kernel":
            weights[f"{_ours(layer)}.weight"] = torch.from_numpy(value.transpose(3, 2, 0, 1).copy())
        elif variable in ("gamma", "beta"):
            name = {"gamma": "weight", "beta": "bias"}[variable]
            weights[f"{_ours(layer)}.{name}"] = torch.from_numpy(value.copy())
        elif variable == "moving_variance":
            difference = np.float64(KERAS_EPSILON) - OUR_EPSILON
            weights[f"{_ours(layer)}.running_var"] = torch.from_numpy((value + difference).astype(np.float32))
        elif variable == "moving_mean":
            shift = values.get(f"{layer.removesuffix('_bn')}_conv/bias", np.zeros(1, np.float32))
            weights[f"{_ours(layer)}.running_mean"] = torch.from_numpy(value - shift)
    kernel = weights["conv1.weight"].flip(1).double()  # BGR
    scale, rest = (
        torch.tensor(v, dtype=torch.float64)[:, None, None]
        for v in (
            [255 * s for s in std],
            [255 * m - k for m, k in zip(mean, KERAS_MEAN, strict=True)],
        )
    )
    weights["conv1.weight"] = (kernel * scale).float()
    weights["bn1.running_mean"] -= (kernel * rest).sum((1, 2, 3)).float()
    return weights


def _ours(layer: str) -> str:
    """Return our name of a Keras layer, such as layer1.0.downsample.1 for conv2_block1_0_bn."""
    if layer in ("conv1_conv", "conv1_bn"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[layer]
    parts = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer)
    if parts is None:
        raise CheckpointError(f"The Keras checkpoint has a layer {layer!r} that no ResNet has.")
    stage, block, n, kind = parts.groups()
    last = f"downsample.{'01'[kind == 'bn']}" if n == "0" else f"{kind}{n}"
    return f"layer{int(stage) - 1}.{int(block) - 1}.{last}"
