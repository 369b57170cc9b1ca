"""What the doctor says of an ONNX file's normalisation advises: more pictures, labels, lines of the guess."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.cli.app import run
from pipeline.errors import UsageError
from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.guess import guess
from pipeline.models.foreign.norm_statistics import FEWEST_PICTURES
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.input_form import InputForm, usual_forms
from tests.pipeline.data.pictures import png, write_folder
from tests.pipeline.diagnosis.colours import COLOURS, TURNED, folder, picture, write
from tests.pipeline.models.foreign.networks import nhwc_network

FORMS = {form.name: form for form in usual_forms(3)}
IMAGENET = next(form for name, form in FORMS.items() if name.startswith("ImageNet") and form.colors == "RGB")
Said = pytest.CaptureFixture[str]


def shown(count: int) -> list[NDArray[np.uint8]]:
    colours = list(TURNED.values())
    return [picture(colours[number % len(colours)], number) for number in range(count)]


def network(folder: Path, form: InputForm = IMAGENET, norms: bool = True) -> Path:
    return write(folder / "net.onnx", form, palette=TURNED if norms else COLOURS, norms=norms)


def doctor(*arguments: object) -> int:
    return run(["doctor", *map(str, arguments)])


def said_by(capsys: Said) -> str:
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("way", ["by hand", "--write"])
def test_writing_the_guess_makes_a_description(way: str, tmp_path: Path, capsys: Said) -> None:
    net = nhwc_network(tmp_path / "net.onnx")
    assert doctor(net) == 0
    said = capsys.readouterr().out
    words = " does not exist. Write this guess to it, or use --write:\n\n"
    assert words in said
    if way == "by hand":
        net.with_suffix(".toml").write_text(said.partition(words)[2])
    else:
        assert doctor(net, "--write") == 0
    assert read_foreign(net).layout == "NHWC"
    assert doctor(net) == 0
    assert "Write this guess to it" not in capsys.readouterr().out


def test_pictures_try_normalisations_and_labelled_ones_decide(tmp_path: Path, capsys: Said) -> None:
    net = network(tmp_path, norms=False)
    data = folder(tmp_path / "data")
    assert doctor(net) == 0
    words = "normalisation: not in the graph; give --data, or pictures with --image, to try some"
    assert words in said_by(capsys)
    assert doctor(net, "--image", next(data.rglob("*.png"))) == 0
    said = said_by(capsys)
    assert words not in said
    assert all(f" {name}: class " in said for name in FORMS)
    assert doctor(net, "--data", data, "--write") == 0
    assert (read_foreign(net).mean, read_foreign(net).colors) == (IMAGENET.mean, "RGB")


def test_as_many_pictures_as_are_named_exclude_something(tmp_path: Path) -> None:
    net = network(tmp_path)
    few = guess(net, shown(4)).reasons[-1]
    words = "so few pictures exclude nothing; give "
    assert f"{words}{FEWEST_PICTURES} at the very least" in few
    enough = guess(net, shown(FEWEST_PICTURES)).reasons[-1]
    assert words not in enough
    assert " is not excluded; about " in enough
    more = guess(net, shown(256))
    assert more.clear
    assert more.description.mean == IMAGENET.mean


def gray(count: int) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    levels = rng.integers(30, 220, count)
    noisy = np.clip(levels[:, None, None, None] + rng.normal(0, 20, (count, 32, 32, 1)), 0, 255)
    return {f"{n}.png": png(np.repeat(one, 3, 2).astype(np.uint8)) for n, one in enumerate(noisy)}


def test_labelled_images_tell_apart_what_gray_pictures_cannot(tmp_path: Path, capsys: Said) -> None:
    """A network of equal statistics in all channels, so that only colours show whether it reads BGR."""
    (form,) = (one for name, one in FORMS.items() if name == "0 to 255")
    net = network(tmp_path, form)
    pictures = write_folder(tmp_path / "gray", gray(16))
    assert doctor(net, *[part for one in sorted(pictures.iterdir()) for part in ("--image", one)]) == 0
    words = " is not excluded, and pictures like these never tell the two apart; give --data"
    assert words in said_by(capsys)
    assert doctor(net, "--data", folder(tmp_path / "data", palette=TURNED), "--write") == 0
    assert (read_foreign(net).mean, read_foreign(net).colors) == (form.mean, "RGB")


def test_keeping_the_lines_of_one_candidate_makes_a_network_of_it(tmp_path: Path, capsys: Said) -> None:
    net = network(tmp_path, norms=False)
    description = net.with_suffix(".toml")
    doctor(net, "--image", *write_folder(tmp_path / "one", {"a.png": png(shown(1)[0])}).iterdir(), "--write")
    text = description.read_text()
    assert "# The normalisation of the training is not known. Keep the lines of one of these," in text
    assert "# without the #, and remove this one, with which nothing is built:" in text
    with pytest.raises(UsageError):
        read_foreign(net)
    lines = text.replace('normalisation = "undecided"\n', "").splitlines()
    at = lines.index(f"# {IMAGENET.name}:")
    kept = [line.removeprefix("#   ") if at < k <= at + 3 else line for k, line in enumerate(lines)]
    description.write_text("\n".join(kept))
    assert read_foreign(net).mean == IMAGENET.mean
    adopt(read_foreign(net), True, lambda _: None)
    capsys.readouterr()
