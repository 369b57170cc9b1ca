"""Checkpoints of Keras compute here what Keras computes.

Keras itself is compared with by `benchmarks/checkpoint_sources.py`; here its ResNet50 and ResNet50V2 are
written out from their definitions.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.errors import CheckpointError
from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.keras import BLOCKS, MEAN
from pipeline.models.zoo import find_model

Arrays = dict[str, NDArray[np.float32]]

MODEL = find_model("resnet50-v1-64px")
V2 = find_model("preresnet50-keras-64px")
CLASSES = 7


def keras_layers() -> list[tuple[str, int, int, int]]:
    """Name, kernel, channels in and out of each convolution, in the order of the model's layers."""
    layers, width_in = [("conv1", 7, 3, 64)], 64
    for stage, blocks in enumerate(BLOCKS[53], start=2):
        planes = 32 * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            name = f"conv{stage}_block{block}"
            layers += [(f"{name}_1", 1, width_in, planes), (f"{name}_2", 3, planes, planes)]
            layers += [(f"{name}_0", 1, width_in, 4 * planes)] if block == 1 else []
            layers += [(f"{name}_3", 1, planes, 4 * planes)]
            width_in = 4 * planes
    return layers


@pytest.fixture(scope="module")
def values() -> Arrays:
    random, made = np.random.default_rng(0), {}
    for name, kernel, width_in, width in keras_layers():
        shape = (kernel, kernel, width_in, width)
        made[f"{name}_conv/kernel"] = random.normal(0, (2 / (kernel**2 * width_in)) ** 0.5, shape)
        made[f"{name}_conv/bias"] = random.normal(0, 0.1, width)
        made[f"{name}_bn/gamma"] = random.uniform(0.3, 0.6, width)
        made[f"{name}_bn/beta"] = random.normal(0, 0.1, width)
        made[f"{name}_bn/moving_mean"] = random.normal(0, 0.1, width)
        made[f"{name}_bn/moving_variance"] = random.uniform(0.5, 1.5, width)
    made["predictions/kernel"] = random.normal(0, 0.02, (2048, CLASSES))
    made["predictions/bias"] = random.normal(0, 0.1, CLASSES)
    return {key: value.astype(np.float32) for key, value in made.items()}


def written_out(v: Arrays, pixels: Tensor) -> Tensor:
    """Keras' ResNet50 on uint8 RGB [N, H, W, 3], preprocess_input included; logits."""

    def convolved(x: Tensor, name: str, stride: int = 1) -> Tensor:
        kernel, bias = (torch.from_numpy(v[f"{name}_conv/{part}"]) for part in ("kernel", "bias"))
        same = 1 if name.endswith("_2") else 0  # conv1 is padded before
        y = functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, same)
        scale, shift, mean, variance = (
            torch.from_numpy(v[f"{name}_bn/{part}"])[:, None, None]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return scale * (y - mean) / (variance + 1.001e-5).sqrt() + shift

    bgr = (pixels.float() - torch.tensor(MEAN)).flip(3).permute(0, 3, 1, 2)
    x = convolved(functional.pad(bgr, (3, 3, 3, 3)), "conv1", 2).relu()
    x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, blocks in enumerate(BLOCKS[53], start=2):
        for block in range(1, blocks + 1):
            name, stride = f"conv{stage}_block{block}", 2 if stage > 2 and block == 1 else 1
            y = convolved(x, f"{name}_1", stride).relu()
            y = convolved(convolved(y, f"{name}_2").relu(), f"{name}_3")
            x = (y + (convolved(x, f"{name}_0", stride) if block == 1 else x)).relu()
    fc, bias = (torch.from_numpy(v[f"predictions/{part}"]) for part in ("kernel", "bias"))
    return x.mean((2, 3)) @ fc + bias


def save_named(values: Arrays, path: Path) -> Path:
    """Write as Keras 1 and 2 do: layer/layer/variable:0."""
    with h5py.File(path, "w") as file:
        for key, value in values.items():
            layer, variable = key.split("/")
            file[f"{layer}/{layer}/{variable}:0"] = value
    return path


def save_numbered(values: Arrays, path: Path) -> Path:
    """Write as Keras 3 does: layers/conv2d_4/vars/0."""
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    with h5py.File(path, "w") as file:
        for number, (name, *_) in enumerate(keras_layers()):
            suffix = f"_{number}" if number else ""
            for i, part in enumerate(("kernel", "bias")):
                file[f"layers/conv2d{suffix}/vars/{i}"] = values[f"{name}_conv/{part}"]
            for i, part in enumerate(parts):
                file[f"layers/batch_normalization{suffix}/vars/{i}"] = values[f"{name}_bn/{part}"]
        for i, part in enumerate(("kernel", "bias")):
            file[f"layers/dense/vars/{i}"] = values[f"predictions/{part}"]
        file["optimizer/vars/0"] = np.zeros(1)
    return path


@pytest.mark.parametrize("save", [save_named, save_numbered])
def test_keras_weights_compute_what_keras_computes(save: object, values: Arrays, tmp_path: Path) -> None:
    path = save(values, tmp_path / "resnet50.weights.h5")  # type: ignore[operator]
    network = load_model(MODEL, path, CLASSES)
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8))
    with torch.inference_mode():
        found = resnet.FromPixels(network, MODEL.mean, MODEL.std).eval()(pixels)
    # where the first kernel hangs over the border, Keras' zero is half a grey level from ours
    torch.testing.assert_close(found, written_out(values, pixels), rtol=0.02, atol=0.02)


def test_away_from_the_border_keras_weights_are_exact(values: Arrays, tmp_path: Path) -> None:
    network = load_model(MODEL, save_named(values, tmp_path / "w.h5"), CLASSES)
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), np.uint8))
    normalised = resnet.FromPixels(network, MODEL.mean, MODEL.std).normalised(pixels)
    found = network.get_submodule("bn1")(network.get_submodule("conv1")(normalised))[:, :, 2:-2, 2:-2]
    bgr = (pixels.float() - torch.tensor(MEAN)).flip(3).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(values["conv1_conv/kernel"]).permute(3, 2, 0, 1)
    y = functional.conv2d(bgr, kernel, torch.from_numpy(values["conv1_conv/bias"]), 2, 3)[:, :, 2:-2, 2:-2]
    scale, shift, mean, variance = (
        torch.from_numpy(values[f"conv1_bn/{part}"])[:, None, None]
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    expected = scale * (y - mean) / (variance + 1.001e-5).sqrt() + shift
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2)


def test_keras_weights_that_do_not_fit_say_so(values: Arrays, tmp_path: Path) -> None:
    path = save_named(values, tmp_path / "w.h5")
    with pytest.raises(CheckpointError, match="weights for 7 classes; the data set has 10"):
        load_model(MODEL, path, 10)
    with pytest.raises(CheckpointError, match="does not fit resnet34-64px"):
        load_model(find_model("resnet34-64px"), path, CLASSES)
    with h5py.File(tmp_path / "another.h5", "w") as file:
        file["block1_conv1/kernel"] = np.zeros(3)
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:2000])
    (tmp_path / "other.h5").write_bytes(b"text")
    (tmp_path / "other.keras").write_bytes(b"text")
    for name, told in (
        ("another.h5", "none of Keras' ResNet50"),
        ("cut.h5", "damaged"),
        ("other.h5", "not an HDF5 file"),
        ("other.keras", "damaged, or not an HDF5 file"),
    ):
        with pytest.raises(CheckpointError, match=told):
            load_model(MODEL, tmp_path / name, CLASSES)


def v2_norms() -> list[tuple[str, int]]:
    """Name and channels of each norm of ResNet50V2, in the order of the model's layers."""
    norms, width_in = [], 64
    for stage, blocks in enumerate(BLOCKS[53], start=2):
        planes = 32 * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            name = f"conv{stage}_block{block}"
            norms += [(f"{name}_preact_bn", width_in), (f"{name}_1_bn", planes), (f"{name}_2_bn", planes)]
            width_in = 4 * planes
    return [*norms, ("post_bn", width_in)]


@pytest.fixture(scope="module")
def v2_values(values: Arrays) -> Arrays:
    """Biases only where no norm follows."""
    random = np.random.default_rng(2)
    kept = {
        key: value
        for key, value in values.items()
        if "_bn/" not in key and not key.endswith(("_1_conv/bias", "_2_conv/bias"))
    }
    for name, width in v2_norms():
        kept[f"{name}/gamma"] = random.uniform(0.3, 0.6, width).astype(np.float32)
        kept[f"{name}/beta"] = random.normal(0, 0.1, width).astype(np.float32)
        kept[f"{name}/moving_mean"] = random.normal(0, 0.1, width).astype(np.float32)
        kept[f"{name}/moving_variance"] = random.uniform(0.5, 1.5, width).astype(np.float32)
    return kept


def v2_written_out(v: Arrays, pixels: Tensor) -> Tensor:
    """Keras' ResNet50V2 on uint8 RGB [N, H, W, 3], preprocess_input included; logits."""

    def convolved(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        kernel = torch.from_numpy(v[f"{name}_conv/kernel"]).permute(3, 2, 0, 1)
        bias = v.get(f"{name}_conv/bias")
        return functional.conv2d(x, kernel, None if bias is None else torch.from_numpy(bias), stride, padding)

    def normed(x: Tensor, name: str) -> Tensor:
        mean, variance, gamma, beta = (
            torch.from_numpy(v[f"{name}_bn/{part}"])
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=1.001e-5).relu()

    x = convolved((pixels.float() / 127.5 - 1).permute(0, 3, 1, 2), "conv1", 2, 3)
    x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, blocks in enumerate(BLOCKS[53], start=2):
        for block in range(1, blocks + 1):
            name, stride = f"conv{stage}_block{block}", 2 if stage < 5 and block == blocks else 1
            before = normed(x, f"{name}_preact")
            shortcut = convolved(before, f"{name}_0") if block == 1 else x[:, :, ::stride, ::stride]
            y = normed(convolved(before, f"{name}_1"), f"{name}_1")
            y = normed(convolved(y, f"{name}_2", stride, 1), f"{name}_2")
            x = shortcut + convolved(y, f"{name}_3")
    fc, bias = (torch.from_numpy(v[f"predictions/{part}"]) for part in ("kernel", "bias"))
    return normed(x, "post").mean((2, 3)) @ fc + bias


def save_v2_numbered(values: Arrays, path: Path) -> Path:
    """Write as Keras 3 does, into the .h5 of a .keras archive."""
    with h5py.File(path.with_suffix(".inside"), "w") as file:
        for number, (name, *_) in enumerate(keras_layers()):
            suffix = f"_{number}" if number else ""
            for i, part in enumerate(("kernel", "bias")):
                if (key := f"{name}_conv/{part}") in values:
                    file[f"layers/conv2d{suffix}/vars/{i}"] = values[key]
        for number, (name, _) in enumerate(v2_norms()):
            suffix = f"_{number}" if number else ""
            for i, part in enumerate(("gamma", "beta", "moving_mean", "moving_variance")):
                file[f"layers/batch_normalization{suffix}/vars/{i}"] = values[f"{name}/{part}"]
        for i, part in enumerate(("kernel", "bias")):
            file[f"layers/dense/vars/{i}"] = values[f"predictions/{part}"]
    path = path.with_suffix(".keras")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(path.with_suffix(".inside"), "model.weights.h5")
    return path


@pytest.mark.parametrize("save", [save_named, save_v2_numbered])
def test_v2_weights_compute_what_keras_computes(
    save: Callable[[Arrays, Path], Path], v2_values: Arrays, tmp_path: Path
) -> None:
    network = load_model(V2, save(v2_values, tmp_path / "v2.h5"), CLASSES)
    pixels = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8))
    with torch.inference_mode():
        found = resnet.FromPixels(network, V2.mean, V2.std).eval()(pixels)
    torch.testing.assert_close(found, v2_written_out(v2_values, pixels), rtol=1e-4, atol=1e-3)


def test_v2_weights_name_the_network_they_fit(v2_values: Arrays, tmp_path: Path) -> None:
    path = save_named(v2_values, tmp_path / "v2.h5")
    with pytest.raises(CheckpointError, match="It would fit preresnet50-keras with 7 classes"):
        load_model(MODEL, path, CLASSES)
