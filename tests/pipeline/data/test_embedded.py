"""What comes with the project: small, licensed, re-created by its script, and as good as it says."""

import re
from pathlib import Path

import pytest

from data import create
from pipeline.data.embedded import EMBEDDED
from pipeline.data.open import open_dataset
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model, find_weights
from pipeline.training.judge import judge

needs_fashion_mnist = pytest.mark.skipif(
    not create.SOURCE.is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)


def test_the_default_build_takes_no_more_than_seven_megabytes_and_other_weights_six_each() -> None:
    sizes = {path.name: path.stat().st_size for path in EMBEDDED.iterdir() if path.is_file()}
    groceries = sizes.pop("resnet18_grocery.safetensors")
    assert sum(sizes.values()) <= 7_000_000
    assert groceries <= 6_000_000


def test_every_file_is_accounted_for() -> None:
    readme = (EMBEDDED / "README.md").read_text()
    named = {*create.TEST, *create.CALIBRATION, *re.findall(r"`([\w.-]+)`", readme), "create.py", "README.md"}
    assert {path.name for path in EMBEDDED.iterdir() if path.is_file()} <= named
    assert "MIT License" in (EMBEDDED / "LICENSE.fashion-mnist").read_text()


@needs_fashion_mnist
def test_the_script_makes_the_same_images_again(tmp_path: Path) -> None:
    create.create_images(create.SOURCE, tmp_path)
    for name in create.TEST + create.CALIBRATION:
        assert (tmp_path / name).read_bytes() == (EMBEDDED / name).read_bytes()


@needs_fashion_mnist
def test_the_weights_have_seen_none_of_the_calibration_and_test_images() -> None:
    trained = {sample.digest for sample in open_dataset(create.SOURCE).split("train").samples}
    embedded = open_dataset("fashion-mnist")
    for role in ("calibration", "evaluation"):
        assert trained.isdisjoint(sample.digest for sample in embedded.split(role).samples)


@pytest.mark.slow
def test_the_weights_are_as_good_as_the_readme_says() -> None:
    model = find_model("resnet20-fashion")
    network = load_model(model, find_weights(model), classes=10)
    found = judge(network, model, open_dataset("fashion-mnist").split("evaluation"), lambda _: None)
    assert found.seen == 10_000
    assert found.right == pytest.approx(9416, abs=3)  # other processors sum in another order
    assert f"{9416 / found.seen:.2%}".replace("%", " %") in (EMBEDDED / "README.md").read_text()
