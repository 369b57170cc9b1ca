"""The preprocessing of a network is found by labels or by its batch norms' statistics, or stays undecided."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.diagnosis.by_accuracy import choose_by_accuracy
from pipeline.diagnosis.foreign_answers import foreign_answers
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.guess import guess
from pipeline.models.input_form import InputForm, usual_forms
from tests.conftest import Edgec
from tests.pipeline.diagnosis.colours import COLOURS, TURNED, folder, pictures, scenes, write
from tests.pipeline.models.foreign.networks import export

FORMS = tuple(usual_forms(3))
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
SHOWN = [one for made in pictures(4, seed=3).values() for one in made]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("colours") / "data")


def same(found: InputForm, wanted: InputForm) -> bool:
    """0 to 255 in BGR and in RGB differ only in the order, which counts."""
    return (
        found.colors == wanted.colors
        and np.allclose(found.mean, wanted.mean, atol=1e-6)
        and np.allclose(found.std, wanted.std, rtol=1e-5)
    )


@each_form
@pytest.mark.parametrize("norms", [True, False], ids=["norms", "folded"])
def test_labelled_images_find_every_form_or_leave_it_open(
    form: InputForm, norms: bool, data: Path, tmp_path: Path
) -> None:
    net = write(tmp_path / "net.onnx", form, norms=norms)
    base = guess(net, [])
    choice = choose_by_accuracy(described(net, base.description), data)
    assert any(f"{form.name}: right on" in line for line in choice.lines)
    if choice.form is None:
        assert "not shown to be worse" in choice.lines[-1]
    else:
        assert same(choice.form, form)


@each_form
def test_what_norms_remember_never_misleads(form: InputForm, tmp_path: Path) -> None:
    found = guess(write(tmp_path / "net.onnx", form), SHOWN)
    if found.clear:
        d = found.description
        assert same(InputForm("", d.mean, d.std, d.colors), form)


def test_what_norms_remember_finds_imagenets_form_without_labels(tmp_path: Path) -> None:
    many = [one for made in pictures(20, seed=3).values() for one in made]
    found = guess(write(tmp_path / "net.onnx", FORMS[0]), many)
    assert found.clear
    assert "gives the batch norms what they remember" in found.reasons[-1]
    assert "mean = [0.485, 0.456, 0.406]" in found.toml()


def test_the_number_of_pictures_that_is_said_to_tell_rgb_from_bgr_does(tmp_path: Path) -> None:
    """The advice is followed, with as many more pictures of the same kind."""
    net = write(tmp_path / "net.onnx", FORMS[0])
    few = [one for made in pictures(4, seed=3).values() for one in made]
    found = guess(net, few)
    assert not found.clear
    said = re.search(r"(.*), BGR is not excluded; about ([\d,]+) pictures like these", found.reasons[-1])
    assert said is not None, found.reasons[-1]
    wanted = int(said[2].replace(",", ""))
    assert wanted > len(few)
    per_class = -(-wanted // len(COLOURS))
    assert guess(net, [one for made in pictures(per_class, seed=4).values() for one in made]).clear


def test_gray_pictures_never_tell_rgb_from_bgr(tmp_path: Path) -> None:
    """0 to 1 has the same means in both orders; a gray picture is the same in both."""
    gray = [np.repeat(one[..., :1], 3, axis=-1) for made in pictures(4, seed=3).values() for one in made]
    found = guess(write(tmp_path / "net.onnx", FORMS[1]), gray)
    assert not found.clear
    assert not any(line.startswith("mean") for line in found.toml().splitlines())


def test_one_picture_and_folded_norms_leave_it_open(tmp_path: Path) -> None:
    assert not guess(write(tmp_path / "net.onnx", FORMS[0]), SHOWN[:1]).clear
    assert not guess(write(tmp_path / "folded.onnx", FORMS[0], norms=False), SHOWN).clear


def test_the_doctor_writes_what_labelled_images_show(edgec: Edgec, data: Path, tmp_path: Path) -> None:
    net = write(tmp_path / "net.onnx", FORMS[0], norms=False)
    done = edgec("doctor", net, "--data", data, "--write")
    assert done.returncode == 0, done.stderr
    assert "shown to be right most often" in done.stdout
    assert "mean = [0.485, 0.456, 0.406]" in (tmp_path / "net.toml").read_text()


def test_one_output_for_two_classes_answers_both(tmp_path: Path) -> None:
    """The second class where it is positive; the largest of one output would always be the first."""
    threshold = nn.Linear(3, 1)
    with torch.no_grad():
        threshold.weight.fill_(1.0)
        threshold.bias.fill_(-1.5)
    brightness = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), threshold)
    net = export(brightness.eval(), tmp_path / "net.onnx")
    shown = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (10, 240, 30, 200)])
    answers = foreign_answers(described(net, Description()))(None, shown)
    assert answers.tolist() == [0, 1, 0, 1]


SEGMENTS = f'size = [32, 32]\nfit = "stretch"\ntask = "segment"\nlabels = {json.dumps(list(TURNED))}\n'


def test_labelled_pixels_find_the_form_too(edgec: Edgec, tmp_path: Path) -> None:
    masked = scenes(tmp_path / "masked", TURNED, test=40)
    net = write(tmp_path / "net.onnx", FORMS[0], palette=TURNED, of_pixels=True)
    (tmp_path / "net.toml").write_text(SEGMENTS)
    done = edgec("doctor", net, "--data", masked)
    assert done.returncode == 0, done.stderr
    assert (
        f"{FORMS[0].name}: right on 100.00 % of pixels, mean IoU 100.00 %, 40 labelled images" in done.stdout
    )
    assert "normalisation: " in done.stdout
    without = edgec("doctor", net, "--data", folder(tmp_path / "plain", palette=TURNED))
    assert without.returncode == 1
    assert "has no masks, so nothing says which class a pixel has" in without.stderr


def test_images_of_other_classes_are_refused(edgec: Edgec, data: Path, tmp_path: Path) -> None:
    net = write(tmp_path / "net.onnx", FORMS[0])
    (tmp_path / "net.toml").write_text("size = [32, 32]\nlabels = " + str([*COLOURS][:5]).replace("'", '"'))
    done = edgec("doctor", net, "--data", data)
    assert done.returncode == 1
    assert "has classes that net does not name: snow" in done.stderr
