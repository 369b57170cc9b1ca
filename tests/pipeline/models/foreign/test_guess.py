"""What a network most likely wants its input to be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.guess import guess
from tests.pipeline.models.foreign.networks import (
    SIDE,
    MobileNetLike,
    VggLike,
    export,
    make,
    nhwc_network,
    pixels,
)


@pytest.mark.parametrize("channels", [1, 3])
def test_layout_and_size_are_guessed_from_the_shape(channels: int, tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    )
    found = guess(export(network, tmp_path / "net.onnx", channels=channels), None)
    assert (found.description.layout, found.description.size) == ("NCHW", (SIDE, SIDE))
    assert found.description.channels == channels
    found = guess(nhwc_network(tmp_path / "nhwc.onnx"), pixels(1)[0])
    assert found.description.layout == "NHWC"
    assert "the input is pixels" in found.reasons[-1]
    assert [tried.name for tried in found.tried] == ["as the graph has it"]


def test_a_normalisation_in_the_graph_is_seen(tmp_path: Path) -> None:
    network = nn.Sequential(Normalise(), make(VggLike))
    found = guess(export(network, tmp_path / "net.onnx"), None)
    assert found.description.std == (1 / 255,)
    assert "begins with one" in found.reasons[-1]


class Normalise(nn.Module):
    """Scales pixels from 0 to 255."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - 127.5) / 127.5


def test_normalisations_are_tried_on_a_picture_and_the_guess_can_be_read_back(tmp_path: Path) -> None:
    path = export(make(MobileNetLike), tmp_path / "net.onnx")
    found = guess(path, pixels(1)[0])
    assert len(found.tried) == 4
    surest = max(found.tried, key=lambda one: one.probabilities.max())
    assert surest.name in found.reasons[-1]
    assert all(np.isclose(one.probabilities.sum(), 1) for one in found.tried)
    (tmp_path / "net.toml").write_text(found.toml())
    model = read_foreign(path)
    np.testing.assert_allclose(model.mean, np.broadcast_to(found.description.mean, 3), atol=1e-6)
    np.testing.assert_allclose(model.std, np.broadcast_to(found.description.std, 3), atol=1e-6)


def test_what_the_guess_says_of_fitting_leaves_pictures_of_the_networks_size_alone(tmp_path: Path) -> None:
    path = export(make(VggLike), tmp_path / "net.onnx")
    text = guess(path, pixels(1)[0]).toml()
    assert 'fit = "crop"' in text
    assert 'resize = "auto"' in text
    (tmp_path / "net.toml").write_text(text)
    assert np.array_equal(read_foreign(path).preprocessing(pixels(1)[0]), pixels(1)[0])
