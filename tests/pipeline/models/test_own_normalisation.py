"""A checkpoint's own mean and standard deviation are compared with those that are used."""

import argparse
from pathlib import Path

import pytest
import torch

from pipeline.errors import CheckpointError
from pipeline.models.own_normalisation import check_normalisation, normalisation_in_checkpoint

HALF = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATH = Path("net.pth")


@pytest.mark.parametrize(
    "content",
    [
        {"mean": [0.5, 0.5, 0.5], "std": (0.25, 0.25, 0.25)},
        {"args": argparse.Namespace(mean=[0.5] * 3, std=[0.25] * 3, lr=0.1)},
        {"hyper_parameters": {"data": {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}}},
        {"pretrained_cfg": {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}},
        {"meta": {"img_norm_cfg": {"mean": [127.5] * 3, "std": [63.75] * 3}}},
    ],
    ids=str,
)
def test_what_trainers_write_is_read(content: dict[object, object]) -> None:
    weights = {"conv.weight": torch.zeros(3), "mean": torch.zeros(3), "std": torch.ones(3)}
    assert normalisation_in_checkpoint({"state_dict": weights, **content}) == HALF


@pytest.mark.parametrize(
    "content",
    [
        {"mean": None, "std": None},
        {"mean": 0.5, "std": 0.5},
        {"mean": [0.5] * 3},
        {"mean": ["a"], "std": ["b"]},
        {"mean": [0.5], "std": [0.0]},
        {"train": {"mean": [0.5], "std": [0.5]}, "other": {"mean": [0.4], "std": [0.5]}},
        {},
    ],
    ids=str,
)
def test_missing_or_several_normalisations_are_ignored(content: dict[object, object]) -> None:
    assert normalisation_in_checkpoint(content) is None


def test_another_normalisation_is_refused_unless_the_user_has_said_one() -> None:
    said: list[str] = []
    with pytest.raises(CheckpointError, match=r"mean = \[0\.5, .*Say mean and std as the file has them"):
        check_normalisation(HALF, IMAGENET, PATH, False, said.append)
    check_normalisation(HALF, HALF, PATH, False, said.append)
    check_normalisation(((0.5,), (0.25,)), HALF, PATH, False, said.append)
    check_normalisation(None, HALF, PATH, False, said.append)
    assert not said
    check_normalisation(HALF, IMAGENET, PATH, True, said.append)
    assert "what the configuration says is used" in said[0]
