"""What `edgec doctor --data` says of a data set."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cli.app import run
from pipeline.data_readiness import data_findings
from pipeline.progress import Silent
from pipeline.readiness import Finding


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes: 20 and 30 pictures to train with, 5 and 5 to evaluate."""
    seeds = iter(range(1000))
    for split, cats, dogs in (("train", 20, 30), ("test", 5, 5)):
        for name, count in (("cat", cats), ("dog", dogs)):
            for number in range(count):
                picture(tmp_path / split / name / f"{number}.png", next(seeds))
    return tmp_path


def found(photos: Path) -> dict[str, Finding]:
    return {one.what: one for one in data_findings(photos, Silent())}


def test_pictures_are_counted_by_role_and_class(photos: Path) -> None:
    answers = found(photos)
    assert answers["classes"].found == "2: cat, dog"
    assert answers["pictures for train"].found == "45, 18 (cat) to 27 (dog) a class"
    assert answers["pictures for calibration"].found == "5, 2 (cat) to 3 (dog) a class"
    assert answers["pictures for evaluation"].found == "10, 5 a class"
    assert all(one.fine and not one.advice for one in answers.values())


def test_damaged_pictures_are_named(photos: Path) -> None:
    (photos / "test" / "dog" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    answer = found(photos)["pictures for evaluation"]
    assert answer.fine
    assert "test/dog/3.png" in answer.advice
    for number in range(5):
        (photos / "test" / "cat" / f"{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    assert not found(photos)["pictures for evaluation"].fine


def test_pictures_of_two_roles_and_a_role_without_any_are_named(photos: Path) -> None:
    copy = (photos / "test" / "cat" / "0.png").read_bytes()
    (photos / "train" / "cat" / "0.png").write_bytes(copy)
    answer = found(photos)["pictures for train"]
    assert not answer.fine
    assert "train/cat/0.png = test/cat/0.png" in answer.advice
    (photos / "train").rename(photos / "calibration")
    assert found(photos)["pictures for train"].fine is None


def test_the_exit_code_says_whether_a_build_would_do(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--data", str(photos), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4
    for one in (photos / "test").rglob("*.png"):
        one.write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    assert run(["doctor", "--data", str(photos)]) == 1


def test_a_picture_of_two_classes_is_named(photos: Path) -> None:
    copy = photos / "test" / "dog" / "0.png"
    copy.write_bytes((photos / "test" / "cat" / "0.png").read_bytes())
    answer = found(photos)["pictures for evaluation"]
    assert answer.fine is None
    assert "test/dog/0.png = test/cat/0.png" in answer.advice
    copy.unlink()
    assert found(photos)["pictures for evaluation"].advice == ""
