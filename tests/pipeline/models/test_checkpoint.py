"""Weights load from what people have, and a file that does not fit says why and what it would fit."""

import argparse
import json
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.errors import CheckpointError
from pipeline.models import resnet
from pipeline.models.architecture import Architecture
from pipeline.models.checkpoint import load_model, read_weights
from pipeline.models.zoo import find_model
from tests.attacks.pickled import Attack

FASHION = find_model("resnet20-fashion")

CIFAR = find_model("resnet20-cifar10")
RESNET18 = find_model("resnet18")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return resnet.build(FASHION.architecture, 1, 10).state_dict()


def saved(weights: object, path: Path) -> Path:
    if path.suffix == ".safetensors":
        assert isinstance(weights, dict)
        safetensors.torch.save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_every_format_gives_the_weights_that_were_saved(
    name: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    loaded = load_model(FASHION, saved(weights, tmp_path / name), classes=10)
    assert not loaded.training
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, weights[key])


def test_wrappings_of_training_checkpoints_are_taken_off(weights: dict[str, Tensor], tmp_path: Path) -> None:
    def prefixed(prefix: str) -> dict[str, Tensor]:
        return {prefix + key: value for key, value in weights.items()}

    expected = read_weights(saved(weights, tmp_path / "plain.pt"))
    for content in (
        {"state_dict": weights, "epoch": 3},
        {"model": weights, "optimiser": {"state": {}}, "args": argparse.Namespace(batch_size=3)},
        {"model_state_dict": weights, "optimizer_state_dict": {}, "loss": 0.1},
        {"net": weights, "acc": 93.1},
        {"state_dict": prefixed("module.")},
        {"state_dict": prefixed("model."), "hyper_parameters": {}},  # Lightning
        prefixed("module."),
        prefixed("_orig_mod."),  # torch.compile
        prefixed("module._orig_mod."),
    ):
        found = read_weights(saved(content, tmp_path / "wrapped.pt"))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_prefix_that_only_some_keys_have_is_unexpected(weights: dict[str, Tensor], tmp_path: Path) -> None:
    twice = {**weights, "module.conv1.weight": torch.zeros_like(weights["conv1.weight"])}
    with pytest.raises(CheckpointError, match=r"1 unexpected: module\.conv1\.weight"):
        load_model(FASHION, saved(twice, tmp_path / "w.pt"), classes=10)


def test_half_precision_becomes_float32(weights: dict[str, Tensor], tmp_path: Path) -> None:
    half = {k: v.half() for k, v in weights.items() if v.is_floating_point()}
    assert {v.dtype for v in read_weights(saved(half, tmp_path / "h.safetensors")).values()} == {
        torch.float32
    }


def test_counters_of_batch_norm_are_optional(weights: dict[str, Tensor], tmp_path: Path) -> None:
    without = {key: value for key, value in weights.items() if "num_batches_tracked" not in key}
    load_model(FASHION, saved(without, tmp_path / "w.safetensors"), classes=10)


def test_weights_of_another_known_model_say_which(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(weights, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError) as error:
        load_model(CIFAR, path, classes=10)
    assert "conv1.weight [16, 1, 3, 3] instead of [16, 3, 3, 3]" in str(error.value)
    assert "It would fit resnet20-fashion with 10 classes." in str(error.value)


def test_missing_and_unexpected_keys_are_named_and_counted(
    weights: dict[str, Tensor], tmp_path: Path
) -> None:
    changed = {("conv0.weight" if key == "conv1.weight" else key): value for key, value in weights.items()}
    with pytest.raises(CheckpointError) as error:
        load_model(FASHION, saved(changed, tmp_path / "w.safetensors"), classes=10)
    assert "1 missing: conv1.weight; 1 unexpected: conv0.weight" in str(error.value)
    assert "It fits no known model." in str(error.value)
    with pytest.raises(
        CheckpointError, match=r"\d+ missing: .* and \d+ more; \d+ unexpected: .* and \d+ more"
    ):
        load_model(RESNET18, saved(weights, tmp_path / "w.safetensors"), classes=10)


def test_a_wrong_class_count_says_both_numbers(weights: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="weights for 10 classes; the data set has 43"):
        load_model(FASHION, saved(weights, tmp_path / "w.safetensors"), classes=43)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(
    value: float, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    broken = {key: tensor.clone() for key, tensor in weights.items()}
    broken["layer2.1.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(CheckpointError, match=r"layer2\.1\.conv1\.weight has 1 of 9216 values that are NaN"):
        read_weights(saved(broken, tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([torch.zeros(1)], "holds a list"),
        ({"weight": 3}, "'weight' is int"),
        ({"state_dict": [1, 2]}, "'state_dict' is list"),
        ({3: torch.zeros(1)}, "3 is Tensor"),
        ({}, "holds no weights"),
        ({"weight": torch.zeros(2, dtype=torch.int8)}, "torch.int8, not floating-point"),
        ({"weight": torch.zeros(2).to_sparse()}, "is sparse"),
        ({"weight": torch.zeros(1).expand(10**12)}, "declares 1,000,000,000,000 values"),
        ({"weight": torch.zeros(2, device="meta")}, "declares 2 values"),
        ({"bn1.running_var": torch.tensor([-1.0])}, "negative variances"),
    ],
)
def test_content_that_is_not_weights_is_described(content: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=told):
        read_weights(saved(content, tmp_path / "w.pt"))


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    attacks = [saved({"weight": Attack(victim)}, tmp_path / "zip.pt")]
    attacks.append(tmp_path / "plain.pth")
    attacks[1].write_bytes(pickle.dumps({"weight": Attack(victim)}, protocol=2))
    for attack in attacks:
        with pytest.raises(CheckpointError, match=r"nothing of it was run \(it names \w+\.system\)"):
            read_weights(attack)
    assert not victim.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(
    suffix: str, kept: float, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    path = saved(weights, tmp_path / f"w{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=str(path)):
        read_weights(path)


def test_a_missing_file_and_a_strange_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "w.onnx").touch()
    with pytest.raises(CheckpointError, match="is a network, not weights for one"):
        read_weights(tmp_path / "w.onnx")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_scrambled_bytes_load_or_are_refused_but_never_crash(
    suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("scrambled") / f"w{suffix}"
    saved({"conv1.weight": torch.ones(2, 3), "bn1.bias": torch.zeros(2)}, path)
    if suffix == ".pth":
        path.write_bytes(pickle.dumps({"a": [1, 2]}, protocol=2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CheckpointError):
        read_weights(path)


def test_cifar_architecture_of_another_depth_fits_no_known_model(tmp_path: Path) -> None:
    other = resnet.build(Architecture("cifar", 8), 3, 10).state_dict()
    with pytest.raises(CheckpointError, match="It fits no known model"):
        load_model(CIFAR, saved(other, tmp_path / "w.pt"), classes=10)


@pytest.mark.parametrize("kind", ["F4", "F8_E8M0", "I8", "C64"])
def test_numbers_that_torch_stores_and_does_not_compute_with_are_refused(tmp_path: Path, kind: str) -> None:
    size = {"F4": 2, "F8_E8M0": 4, "I8": 4, "C64": 32}[kind]
    header = json.dumps({"a": {"dtype": kind, "shape": [4], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\xff" * size)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: a "):
        read_weights(path)
