"""The weights that are meant are found in a checkpoint; an average over training is never passed over."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import CheckpointError
from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model

MODEL = find_model("resnet20-fashion")
Weights = dict[str, Tensor]


def weights(seed: int) -> Weights:
    torch.manual_seed(seed)
    return resnet.build(MODEL.architecture, 1, 10).state_dict()


RAW, AVERAGE = weights(1), weights(2)


def prefixed(prefix: str, values: Weights) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in values.items()}


def loaded(content: object, folder: Path, chosen: str | None = None) -> tuple[nn.Module, list[str]]:
    path, told = folder / "w.pt", list[str]()
    torch.save(content, path)
    return load_model(MODEL, path, 10, chosen, told.append), told


def is_one(network: nn.Module, expected: Weights) -> bool:
    return torch.equal(network.state_dict()["conv1.weight"], expected["conv1.weight"])


AVERAGED: dict[str, Callable[[], dict[str, Any]]] = {
    "timm": lambda: {"state_dict": RAW, "state_dict_ema": AVERAGE, "epoch": 9},
    "torchvision": lambda: {
        "model": RAW,
        "model_ema": {"n_averaged": torch.tensor(5), **prefixed("module.", AVERAGE)},
    },
    "of the file itself": lambda: {**RAW, "ema": AVERAGE},
    "a teacher": lambda: {"student": RAW, "teacher": prefixed("backbone.", AVERAGE)},
    "SWA": lambda: {"net": RAW, "swa_state_dict": AVERAGE},
    "a module of Lightning": lambda: {
        "state_dict": {**prefixed("model.", RAW), **prefixed("ema.module.", AVERAGE), "loss.w": torch.ones(9)}
    },
    "beside the names": lambda: {**RAW, **prefixed("ema_model.", AVERAGE)},
    "a running average": lambda: {"net": RAW, "avg_model": AVERAGE},
    "MMEngine, which exchanges both": lambda: {
        "state_dict": AVERAGE,
        "ema_state_dict": {"steps": torch.tensor(5), **prefixed("module.", RAW)},
    },
    "Lightning's callback": lambda: {
        "state_dict": prefixed("model.", AVERAGE),
        "current_model_state": prefixed("model.", RAW),
        "averaging_state": {"n_averaged": torch.tensor(5)},
    },
    "deeper": lambda: {"trainer": {"model": RAW, "ema": {"module": AVERAGE}}},
}


@pytest.mark.parametrize("name", AVERAGED)
def test_the_average_is_taken_unless_told_otherwise(name: str, tmp_path: Path) -> None:
    network, told = loaded(AVERAGED[name](), tmp_path)
    assert is_one(network, AVERAGE)
    assert "beside them are" in told[0]
    assert is_one(loaded(AVERAGED[name](), tmp_path, "ema")[0], AVERAGE)
    assert is_one(loaded(AVERAGED[name](), tmp_path, "raw")[0], RAW)


def test_a_place_may_be_named_and_a_wrong_one_is_answered_with_those_there_are(tmp_path: Path) -> None:
    content = {"generator": RAW, "discriminator": AVERAGE}
    with pytest.raises(CheckpointError, match=r"several sets of weights that fit.*generator.*discriminator"):
        loaded(content, tmp_path)
    assert is_one(loaded(content, tmp_path, "discriminator")[0], AVERAGE)
    with pytest.raises(CheckpointError, match=r"has no weights 'generater' that fit\. It has generator"):
        loaded(content, tmp_path, "generater")


def test_an_average_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    part = {key: value for key, value in AVERAGE.items() if "layer1" in key}
    for content in (
        {"state_dict": RAW, "ema": {"shadow_params": list(AVERAGE.values())}},
        {"state_dict": RAW, "ema": prefixed("other.conv", AVERAGE)},
        {"state_dict": {**prefixed("model.", RAW), **prefixed("ema.", part)}},
    ):
        with pytest.raises(CheckpointError, match=r"averaged weights under ema.*--weights raw"):
            loaded(content, tmp_path)
        assert is_one(loaded(content, tmp_path, "raw")[0], RAW)


@pytest.mark.parametrize("prefix", ["module.", "model.", "backbone.", "_orig_mod.", "model.net.", "a.b.c."])
def test_what_wrappers_put_before_names_is_taken_off(prefix: str, tmp_path: Path) -> None:
    content = {"state_dict": {**prefixed(prefix, RAW), "criterion.weight": torch.ones(10)}}
    network, told = loaded(content, tmp_path)
    assert is_one(network, RAW)
    assert told == ["weights: left out criterion.weight, which the network does not have"]


def test_a_classifier_inside_a_sequential_is_found(tmp_path: Path) -> None:
    inside = {
        (f"linear.1.{key.removeprefix('linear.')}" if key.startswith("linear.") else key): value
        for key, value in RAW.items()
    }
    assert is_one(loaded(inside, tmp_path)[0], RAW)


def with_classifier(name: str, prefix: str = "") -> dict[str, Tensor]:
    return {
        key.replace("linear.", f"{name}.") if key.startswith("linear.") else prefix + key: value
        for key, value in RAW.items()
    }


@pytest.mark.parametrize("name", ["head", "classifier", "classifier.1", "last_linear", "head.fc"])
def test_a_classifier_of_another_name_is_found(name: str, tmp_path: Path) -> None:
    for prefix in ("", "backbone."):
        network, told = loaded({"state_dict": with_classifier(name, prefix)}, tmp_path)
        assert is_one(network, RAW)
        assert torch.equal(network.state_dict()["linear.weight"], RAW["linear.weight"])
        assert told == []


def test_a_second_matrix_makes_no_classifier_certain(tmp_path: Path) -> None:
    for more in (
        {"aux.weight": torch.ones(10, 64), "aux.bias": torch.ones(10)},
        {"neck.weight": torch.ones(2, 2)},
    ):
        with pytest.raises(CheckpointError, match="does not fit resnet20-fashion"):
            loaded({"state_dict": {**with_classifier("head", "backbone."), **more}}, tmp_path)


def test_transformers_resnet_is_read(tmp_path: Path) -> None:
    """ResNetForImageClassification of a published checkpoint's names, such as microsoft/resnet-18."""
    model, path = find_model("resnet18"), tmp_path / "model.pt"
    theirs, ours = {}, resnet.build(model.architecture, 3, 7).state_dict()
    for key, value in ours.items():
        name = re.sub(r"^layer(\d)\.", lambda m: f"resnet.encoder.stages.{int(m[1]) - 1}.layers.", key)
        name = re.sub(r"\.conv(\d)\.", lambda m: f".layer.{int(m[1]) - 1}.convolution.", name)
        name = re.sub(r"\.bn(\d)\.", lambda m: f".layer.{int(m[1]) - 1}.normalization.", name)
        name = name.replace("downsample.0.", "shortcut.convolution.")
        name = name.replace("downsample.1.", "shortcut.normalization.")
        name = re.sub(r"^conv1\.", "resnet.embedder.embedder.convolution.", name)
        name = re.sub(r"^bn1\.", "resnet.embedder.embedder.normalization.", name)
        theirs[re.sub(r"^fc\.", "classifier.1.", name)] = value
    assert "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight" in theirs
    torch.save(theirs, path)
    found = load_model(model, path, 7).state_dict()
    assert all(torch.equal(found[key], ours[key]) for key in ours if not key.endswith("tracked"))


PUT_IN_PLACE = {
    "prune.remove": lambda w: {"conv1.weight_orig": w, "conv1.weight_mask": torch.ones_like(w)},
    "remove_weight_norm": lambda w: {"conv1.weight_g": w[:, :1, :1, :1], "conv1.weight_v": w},
    "remove_parametrizations": lambda w: {"conv1.parametrizations.weight.original": w},
}


@pytest.mark.parametrize("advice", PUT_IN_PLACE)
def test_what_torchs_tools_put_in_place_of_a_weight_says_how_to_undo_it(advice: str, tmp_path: Path) -> None:
    rest = {key: value for key, value in RAW.items() if key != "conv1.weight"}
    with pytest.raises(CheckpointError, match=advice):
        loaded({**rest, **PUT_IN_PLACE[advice](RAW["conv1.weight"])}, tmp_path)


def test_parameters_without_buffers_and_quantised_layers_say_what_to_save(tmp_path: Path) -> None:
    parameters = {key: value for key, value in RAW.items() if "running" not in key}
    with pytest.raises(CheckpointError, match=r"Save model\.state_dict\(\); parameters alone"):
        loaded(parameters, tmp_path)
    quantised = {"linear.scale": torch.ones(()), "linear.zero_point": torch.zeros((), dtype=torch.int64)}
    with pytest.raises(CheckpointError, match="is of a network that torch has quantised"):
        loaded({"state_dict": {**RAW, **quantised}}, tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "resnet32-d509ac18.th"])
def test_a_folder_of_weights_names_the_files_in_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    torch.save(RAW, tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"Name the file of weights: {re.escape(name)} in that folder"):
        load_model(MODEL, tmp_path, 10)


def test_the_state_of_an_optimiser_is_not_a_set_of_weights(tmp_path: Path) -> None:
    moments = {key: torch.zeros_like(value) for key, value in RAW.items()}
    content = {"model": RAW, "optimizer": {"state": moments}, "scheduler": {"weight": torch.ones(3)}}
    network, told = loaded(content, tmp_path)
    assert is_one(network, RAW)
    assert told == []
