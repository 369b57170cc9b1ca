"""edgec explain: its verdicts, exit codes and files."""

from pathlib import Path

import cv2
import pytest

from pipeline.cli.app import run
from pipeline.report.model.image_explanation import Cause, ImageExplanation
from tests.pipeline.difference.small_pair import Pair
from tests.pipeline.explanation.built_pair import BuiltPair, built_pair


@pytest.fixture(scope="module")
def built(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> BuiltPair:
    return built_pair(pair, tmp_path_factory.mktemp("built"))


def explained(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, ImageExplanation]:
    capsys.readouterr()
    code = run(["explain", *map(str, words), "--json"])
    return code, ImageExplanation.model_validate_json(capsys.readouterr().out)


def test_a_picture_that_keeps_its_class_is_weighed(
    built: BuiltPair, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = explained(capsys, built.picture, "--build", built.sound, "--data", built.data)
    assert (code, found.cause) == (0, Cause.SAME_CLASS)
    assert found.fp32.answer == found.int8.answer == found.first
    assert found.usual is not None
    assert found.near
    assert any("widest" in one.change for one in found.more_bits)
    assert any("not those of the build" in note for note in found.notes)  # the report is made up


def test_a_flipped_picture_is_traced_to_the_layer_that_flips_it(
    built: BuiltPair, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (built.picture, "--build", built.faulty, "--data", built.data, "--no-recipes")
    code, found = explained(capsys, *words)
    assert (code, found.cause) == (1, Cause.COARSE_BUILD)  # every picture gets the same bias
    back = [one.layer for one in found.layers if found.changes_class(one.alone)]
    assert back == ["logits"]  # its bias is the only fault
    assert "changes the class back alone in float: logits" in found.advice


def test_the_terminal_and_the_page_say_the_same(
    built: BuiltPair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(built.picture), "--build", str(built.faulty), "--html", str(tmp_path / "why.html")]
    assert run(["explain", *words]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "why.html").read_text()
    for part in ("Flipped: FP32 says", "changes the class back alone in float", "without --data"):
        assert part in shown
        assert part.removeprefix("w") in page


def test_a_picture_of_another_size_is_fitted_and_that_is_said(
    built: BuiltPair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = cv2.imread(str(built.picture))
    assert picture is not None
    cv2.imwrite(str(tmp_path / "large.png"), cv2.resize(picture, (96, 60)))
    _, found = explained(capsys, tmp_path / "large.png", "--build", built.sound)
    assert found.notes[0] == "the picture is 96 x 60; it is fitted to 24 x 24 as in the build (crop)"


def test_a_finished_build_is_explained_with_its_own_images(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle,) = out.glob("*.edgec")
    name = "t10k-images-idx3-ubyte.gz[7]"
    words = (name, "--build", bundle.with_suffix(""), "--images", 20, "--no-recipes")
    code, found = explained(capsys, *words)
    assert (code, found.label) == (0, found.fp32.answer)
    assert found.notes == ("the picture is 28 x 28; it is fitted to 32 x 32 as in the build (pad)",)
    assert len(found.layers) == 20
