"""The weights that are meant are found in a checkpoint; an average over training is never passed over."""

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


def test_what_an_optimiser_keeps_is_no_set_of_weights(tmp_path: Path) -> None:
    moments = {key: torch.zeros_like(value) for key, value in RAW.items()}
    content = {"model": RAW, "optimizer": {"state": moments}, "scheduler": {"weight": torch.ones(3)}}
    network, told = loaded(content, tmp_path)
    assert is_one(network, RAW)
    assert told == []
