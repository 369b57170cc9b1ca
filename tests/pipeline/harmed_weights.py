"""Weights with one layer that 8 bits ruin."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from pipeline.data.embedded import EMBEDDED


def write_harmed(folder: Path) -> Path:
    """Write the embedded network's with huge weights on a channel that is always 0."""
    weights = load_file(EMBEDDED / "resnet20_fashion.safetensors")
    weights["layer2.1.bn1.weight"][0] = 0
    weights["layer2.1.bn1.bias"][0] = -10
    weights["layer2.1.conv2.weight"][:, 0] = 500
    path = folder / "weights.safetensors"
    save_file(weights, path)
    return path
