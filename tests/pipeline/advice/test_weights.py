"""What messages about files of weights advise."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model, find_weights
from tests.pipeline.advice.followed import check_advice

MODEL = find_model("resnet20-fashion")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return resnet.build(MODEL.architecture, 1, 10).state_dict()


def packed(pack: Callable[[bytes], bytes], plain: Path, path: Path) -> None:
    path.write_bytes(pack(plain.read_bytes()))


@pytest.mark.parametrize(
    ("kind", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)]
)
def test_unpacking_helps(
    kind: str, pack: Callable[[bytes], bytes], weights: dict[str, Tensor], tmp_path: Path
) -> None:
    plain, path = tmp_path / "plain.pt", tmp_path / "w.pt"
    torch.save({key: value for key, value in weights.items() if value.ndim < 2} | weights, plain)
    packed(pack, plain, path)
    check_advice(
        f"packed with {kind}. Unpack it",
        lambda: load_model(MODEL, path, 10),
        lambda: path.write_bytes(plain.read_bytes()),
    )


def test_unpacking_a_zip_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, inside = tmp_path / "w.pt", tmp_path / "inside.pt"
    torch.save(weights, inside)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inside, "inside.pt")
        archive.writestr("readme.txt", "weights")
    check_advice("Unpack it", lambda: load_model(MODEL, path, 10), lambda: inside.replace(path))


def test_saving_the_tensors_of_a_module_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, network = tmp_path / "w.pt", resnet.build(MODEL.architecture, 1, 10)
    network.load_state_dict(weights)
    torch.save(network, path)
    check_advice(
        "torch.save(model.state_dict(), ...)",
        lambda: load_model(MODEL, path, 10),
        lambda: torch.save(network.state_dict(), path),
    )


CHOICES: dict[str, tuple[str, Callable[[dict[str, Tensor]], object], str | None, str]] = {
    "one of several": (
        "Say which: weights = ",
        lambda w: {"generator": w, "discriminator": w},
        None,
        "generator",
    ),
    "a place that is there": (
        "Say ema, raw, or one of these places",
        lambda w: {"state_dict": w},
        "ema",
        "raw",
    ),
    "the raw ones": (
        'say weights = "raw" (--weights raw)',
        lambda w: {"state_dict": w, "ema": {"shadow_params": list(w.values())}},
        None,
        "raw",
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choosing_helps(name: str, weights: dict[str, Tensor], tmp_path: Path) -> None:
    words, content, before, after = CHOICES[name]
    path, chosen = tmp_path / "w.pt", [before]
    torch.save(content(weights), path)
    check_advice(words, lambda: load_model(MODEL, path, 10, chosen[-1]), lambda: chosen.append(after))


def test_another_number_of_classes_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    other = resnet.build(MODEL.architecture, 1, 3).state_dict()
    torch.save(other, path)
    check_advice(
        "a checkpoint with as many classes",
        lambda: load_model(MODEL, path, 10),
        lambda: torch.save(weights, path),
    )


def test_a_file_that_is_there_helps(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    check_advice(
        "Give a .safetensors, .pt, .pth, .h5 or .keras file",
        lambda: find_weights(MODEL, path),
        lambda: torch.save(weights, path),
    )


def test_the_name_that_is_meant_helps() -> None:
    names = ["resnet20-fasion"]
    check_advice("resnet20-fashion", lambda: find_model(names[-1]), lambda: names.append("resnet20-fashion"))
