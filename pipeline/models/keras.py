"""Weights of Keras' applications: ResNet50, -101 and -152, and the pre-activation ResNet50V2 and so on.

Keras stores convolutions in another order of dimensions, has biases before norms, another epsilon, and
expects other pixels.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import CheckpointError
from pipeline.reading.plain_file import is_plain
from pipeline.reading.reading_limits import KERAS_GROUPS, KERAS_VALUES, PACKED_TIMES
from pipeline.reading.zip_file import open_zip

if TYPE_CHECKING:
    import h5py

Arrays = Mapping[str, NDArray[np.float32]]

MEAN = (123.68, 116.779, 103.939)
"""The mean that Keras subtracts for ResNet50, -101 and -152: RGB in grey levels; they take BGR."""
EPSILON = 1.001e-5
OUR_EPSILON = 1e-5

BLOCKS = {53: (3, 4, 6, 3), 104: (3, 4, 23, 3), 155: (3, 8, 36, 3)}
"""Blocks per stage of 50, 101 and 152 layers, by the number of convolutions."""

NAMES = "ResNet50, ResNet101, ResNet152, ResNet50V2, ResNet101V2 and ResNet152V2"
ARCHIVED = "model.weights.h5"
"""The member of a .keras file, which is a zip, that has the weights."""


def read_keras(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read an .h5, .weights.h5 or .keras file of one of those networks: "layer/kernel" and so on.

    Only numbers are read. Raises CheckpointError for a file that is damaged, or of another network.
    """
    import h5py

    values: dict[str, NDArray[np.float32]] = {}
    try:
        stored = 0
        with h5py.File(_unpacked(path)) as file:
            for name, item in _datasets(file, path):
                _check_numbers(path, name, item.dtype.kind, sum(v.size for v in values.values()) + item.size)
                _check_stored(path, name, item)
                stored += item.nbytes
                if stored > int(file.id.get_filesize()):
                    raise CheckpointError(f"{path} has arrays that share their bytes.")
                *_, layer, variable = f"/{name}".removesuffix(":0").replace("/vars/", "/").split("/")
                values[f"{layer}/{variable}"] = np.asarray(item, np.float32)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        EOFError,
        NotImplementedError,
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise CheckpointError(f"{path} is damaged, or not an HDF5 file ({error}).") from error
    if "conv2d/0" in values:
        values = _named(values, path)
    if "conv1_conv/kernel" not in values:
        raise CheckpointError(
            f"{path} is none of Keras' {NAMES}. Export another network as ONNX and give that as the model."
        )
    return values


def _datasets(file: "h5py.File", path: Path) -> Iterator[tuple[str, "h5py.Dataset"]]:
    """Yield the file's own arrays but an optimizer's, by name; links to elsewhere are not followed.

    HDF5's own walk calls itself for each level, so that enough of them end the process.
    """
    import h5py

    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    for _ in range(KERAS_GROUPS):
        if not waiting:
            return
        prefix, group = waiting.pop()
        for key in group:
            name = f"{prefix}{key}"
            if name.startswith("optimizer") or not isinstance(group.get(key, getlink=True), h5py.HardLink):
                continue
            item = group[key]
            if isinstance(item, h5py.Dataset):
                yield name, item
            elif isinstance(item, h5py.Group):
                waiting.append((f"{name}/", item))
    raise CheckpointError(f"{path} has more than {KERAS_GROUPS:,} groups, or groups that hold themselves.")


def _check_stored(path: Path, name: str, item: "h5py.Dataset") -> None:
    """Refuse an array larger than its bytes in the file: HDF5 fills in missing values and unpacks."""
    if item.external or item.is_virtual:
        raise CheckpointError(f"{path} keeps {name} in another file. Save the weights as one file.")
    if item.id.get_create_plist().get_nfilters():
        raise CheckpointError(f"{path} has {name} packed. Save the weights without compression.")
    stored = item.id.get_storage_size()
    if item.nbytes > stored:
        raise CheckpointError(f"{path} claims {item.nbytes:,} bytes for {name} and holds {stored:,}.")


def _check_numbers(path: Path, name: str, kind: str, count: int) -> None:
    """Refuse other types and sizes than these networks have: a small HDF5 or zip file can claim any size."""
    if kind not in "fiu":
        raise CheckpointError(f"{path} has {name}, which is not an array of numbers.")
    if count > KERAS_VALUES:
        raise CheckpointError(f"{path} claims {count:,} numbers; the largest of {NAMES} has 60 million.")


def _unpacked(path: Path) -> Path | io.BytesIO:
    if not is_plain(path):
        raise OSError("it is not a plain file")
    if path.suffix != ".keras":
        return path
    with open_zip(path) as archive:
        member = archive.getinfo(ARCHIVED)
        _check_numbers(path, ARCHIVED, "f", member.file_size // 4)
        if member.file_size > PACKED_TIMES * max(path.stat().st_size, 1 << 20):
            raise CheckpointError(f"{path} unpacks to {member.file_size:,} bytes, which weights do not.")
        return io.BytesIO(archive.read(ARCHIVED))


def _named(values: Arrays, path: Path) -> dict[str, NDArray[np.float32]]:
    """Give Keras 3's numbered layers their names: it numbers them in the order of the model's layers."""
    convolutions, norms = (
        sum(re.fullmatch(rf"{kind}(_\d+)?/0", key) is not None for key in values)
        for kind in ("conv2d", "batch_normalization")
    )
    if convolutions not in BLOCKS:
        raise CheckpointError(
            f"{path} has {convolutions} convolutions; Keras' {NAMES} have {', '.join(map(str, BLOCKS))}."
        )
    kinds: tuple[tuple[str, list[str], tuple[str, ...]], ...] = (
        ("conv2d", _convolutions(BLOCKS[convolutions]), ("kernel", "bias")),
        (
            "batch_normalization",
            _norms(BLOCKS[convolutions], preactivation=norms != convolutions),
            ("gamma", "beta", "moving_mean", "moving_variance"),
        ),
        ("dense", ["predictions"], ("kernel", "bias")),
    )
    return {
        f"{layer}/{variable}": values[key]
        for kind, layers, variables in kinds
        for number, layer in enumerate(layers)
        for i, variable in enumerate(variables)
        if (key := f"{kind}_{number}/{i}" if number else f"{kind}/{i}") in values
    }


def _convolutions(blocks: tuple[int, ...]) -> list[str]:
    """Name the convolutions in their order: a block's projection, 0, comes before its last one."""
    return [
        "conv1_conv",
        *(f"{name}_{n}_conv" for name, first in _blocks(blocks) for n in ("1203" if first else "123")),
    ]


def _norms(blocks: tuple[int, ...], preactivation: bool) -> list[str]:
    if not preactivation:
        return [name.replace("_conv", "_bn") for name in _convolutions(blocks)]
    return [*(f"{name}_{n}_bn" for name, _ in _blocks(blocks) for n in ("preact", "1", "2")), "post_bn"]


def _blocks(blocks: tuple[int, ...]) -> list[tuple[str, bool]]:
    """Return each block's name and whether it is the first of its stage."""
    return [
        (f"conv{stage}_block{n + 1}", n == 0) for stage, count in enumerate(blocks, 2) for n in range(count)
    ]


def keras_weights(path: Path, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """Read one of those networks under our names, for inputs normalised with `mean` and `std`.

    Raises CheckpointError for a file that is damaged, or of another network.
    """
    try:
        return from_keras(read_keras(path), mean, std)
    except (ValueError, LookupError, RuntimeError) as error:  # of NumPy and torch, for other shapes
        raise CheckpointError(
            f"{path} has arrays that are not those of Keras' {NAMES} ({error}). Export another network as"
            " ONNX and give that as the model."
        ) from error


def from_keras(values: Arrays, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """Return weights under our names for inputs normalised with `mean` and `std`.

    The difference of epsilons moves into the norms, and so do the biases of convolutions that a norm follows.
    The first convolution is adapted to our normalisation; the difference to Keras' mean becomes a shift of
    its output. That is exact where the kernel is inside the image. On the padded border, Keras' zero is up to
    half a grey level from ours for ResNet50; for ResNet50V2 it is the same with a mean of 0.5.
    """
    preactivation = "post_bn/gamma" in values
    weights: dict[str, Tensor] = {}
    for key, value in values.items():
        layer, variable = key.split("/")
        ours = _ours(layer, preactivation)
        if variable == "kernel":
            weights[f"{ours}.weight"] = torch.from_numpy(_in_our_order(value))
        elif variable == "bias" and (preactivation or ours == "fc"):
            weights[f"{ours}.bias"] = torch.from_numpy(value.copy())
        elif variable in ("gamma", "beta"):
            name = {"gamma": "weight", "beta": "bias"}[variable]
            weights[f"{ours}.{name}"] = torch.from_numpy(value.copy())
        elif variable == "moving_variance":
            difference = np.float64(EPSILON) - OUR_EPSILON
            weights[f"{ours}.running_var"] = torch.from_numpy((value + difference).astype(np.float32))
        elif variable == "moving_mean":
            bias = None if preactivation else values.get(f"{layer.removesuffix('_bn')}_conv/bias")
            weights[f"{ours}.running_mean"] = torch.from_numpy(value.copy() if bias is None else value - bias)
    if preactivation:  # pixels from -1 to 1, RGB
        shift = _normalise(weights, mean, std, keras_mean=(127.5,) * 3, keras_scale=127.5)
        weights["conv1.bias"] += shift
    else:
        weights["conv1.weight"] = weights["conv1.weight"].flip(1)  # BGR
        weights["bn1.running_mean"] -= _normalise(weights, mean, std, keras_mean=MEAN, keras_scale=1.0)
    return weights


def _in_our_order(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring [H, W, in, out] to [out, in, H, W], and [in, out] to [out, in]."""
    return np.ascontiguousarray(kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1))


def _normalise(
    weights: dict[str, Tensor],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    keras_mean: tuple[float, ...],
    keras_scale: float,
) -> Tensor:
    """Let the first convolution take (pixel / 255 - mean) / std; return what its outputs lack."""
    kernel = weights["conv1.weight"].double() / keras_scale
    scale, rest = (
        torch.tensor(v, dtype=torch.float64)[:, None, None]
        for v in (
            [255 * s for s in std],
            [255 * m - k for m, k in zip(mean, keras_mean, strict=True)],
        )
    )
    weights["conv1.weight"] = (kernel * scale).float()
    return (kernel * rest).sum((1, 2, 3)).float()


def _ours(layer: str, preactivation: bool) -> str:
    """Return our name of a Keras layer, such as layer1.0.downsample.1 for conv2_block1_0_bn."""
    ends = {"conv1_conv": "conv1", "conv1_bn": "bn1", "post_bn": "bn1"}
    if layer in ends:
        return ends[layer]
    if layer in ("predictions", "probs", "dense", "fc1000"):
        return "fc"
    parts = re.fullmatch(r"conv(\d)_block(\d+)_(\d|preact)_(conv|bn)", layer)
    if parts is None:
        raise CheckpointError(f"The Keras checkpoint has a layer {layer!r} that no ResNet has.")
    stage, block, n, kind = parts.groups()
    if n == "0":
        last = f"downsample.{'01'[kind == 'bn']}"
    elif preactivation and kind == "bn":  # each comes before the convolution of its number, and not behind it
        last = f"bn{1 if n == 'preact' else int(n) + 1}"
    else:
        last = f"{kind}{n}"
    return f"layer{int(stage) - 1}.{int(block) - 1}.{last}"
