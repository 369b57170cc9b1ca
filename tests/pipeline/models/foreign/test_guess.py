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
    found = guess(export(network, tmp_path / "net.onnx", channels=channels), [])
    assert (found.description.layout, found.description.size) == ("NCHW", (SIDE, SIDE))
    assert found.description.channels == channels
    found = guess(nhwc_network(tmp_path / "nhwc.onnx"), [pixels(1)[0]])
    assert found.description.layout == "NHWC"
    assert "the input is pixels" in found.reasons[-1]
    assert [tried.name for tried in found.tried] == ["as the graph has it"]


def test_a_normalisation_in_the_graph_is_seen(tmp_path: Path) -> None:
    network = nn.Sequential(Normalise(), make(VggLike))
    found = guess(export(network, tmp_path / "net.onnx"), [])
    assert found.description.std == (1 / 255,)
    assert "begins with one" in found.reasons[-1]


class Normalise(nn.Module):
    """Scales pixels from 0 to 255."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - 127.5) / 127.5


def test_normalisations_are_tried_on_a_picture_and_being_sure_decides_nothing(tmp_path: Path) -> None:
    path = export(make(MobileNetLike), tmp_path / "net.onnx")
    found = guess(path, pixels(1)[0])
    assert len(found.tried) == 9
    assert not found.clear
    assert "it has no batch norms" in found.reasons[-1]
    assert not any(line.startswith("mean") for line in found.toml().splitlines())
    assert all(np.isclose(one.probabilities.sum(), 1) for one in found.tried)
    for form in found.candidates:  # the lines of each can be read back
        lines = [*(line for line in found.toml().splitlines() if line[0] != "#"), *form.lines]
        (tmp_path / "net.toml").write_text("\n".join(lines))
        model = read_foreign(path)
        np.testing.assert_allclose(model.mean, form.mean, rtol=1e-6)
        np.testing.assert_allclose(model.std, form.std, rtol=1e-6)
        assert model.colors == form.colors


def test_what_the_guess_says_of_fitting_leaves_pictures_of_the_networks_size_alone(tmp_path: Path) -> None:
    path = export(make(VggLike), tmp_path / "net.onnx")
    text = guess(path, [pixels(1)[0]]).toml()
    assert 'fit = "crop"' in text
    assert 'resize = "auto"' in text
    (tmp_path / "net.toml").write_text(text)
    assert np.array_equal(read_foreign(path).preprocessing(pixels(1)[0]), pixels(1)[0])
