"""What a network most likely wants its input to be."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.models.foreign.description import Description, read_foreign
from pipeline.models.foreign.guess import Guess, guess
from pipeline.models.input_form import usual_forms
from tests.pipeline.models.foreign.mobile_networks import MobileNetLike
from tests.pipeline.models.foreign.networks import SIDE, export, make, nhwc_network, pixels
from tests.pipeline.models.foreign.plain_networks import VggLike


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
        kept = [one for one in found.toml().splitlines() if not one.startswith(("#", "normalisation"))]
        lines = [*kept, *form.lines]
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
    (tmp_path / "net.toml").write_text(text.replace('normalisation = "undecided"\n', ""))
    assert np.array_equal(read_foreign(path).preprocessing(pixels(1)[0]), pixels(1)[0])


numbers = st.floats(1e-6, 10, allow_nan=False)
described_inputs = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 999), st.integers(1, 999)),
        "layout": st.sampled_from(["NCHW", "NHWC"]),
        "mean": st.tuples(numbers, numbers, numbers),
        "std": st.tuples(numbers, numbers, numbers) | st.just((1 / 255,) * 3),
        "colors": st.sampled_from(["RGB", "BGR"]),
        "resize": st.just("auto") | st.integers(1, 999),
        "task": st.sampled_from(["classify", "segment"]),
    }
)


@given(described_inputs, st.sampled_from(["crop", "stretch", "pad", "letterbox"]), st.integers(0, 255))
def test_what_the_doctor_writes_is_read_back_to_the_last_bit(
    fields: dict[str, object], fit: str, gray: int
) -> None:
    """Also numbers such as 1/255, which have no short decimal form."""
    border = (gray,) if fit in ("pad", "letterbox") else (0,)
    resize = fields["resize"] if fit == "crop" else "auto"
    told = Description.model_validate(
        {**fields, "fit": fit, "border": border, "resize": resize, "channels": 3}
    )
    read = tomllib.loads(Guess(told, ()).toml())
    assert Description.model_validate(read) == told


def test_usual_forms_are_written_exactly() -> None:
    for form in usual_forms(3):
        read = Description.model_validate(tomllib.loads("\n".join(form.lines)))
        assert (read.mean, read.std, read.colors) == (form.mean, form.std, form.colors)
