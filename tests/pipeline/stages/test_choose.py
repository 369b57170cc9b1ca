"""recipe=auto picks by closeness on images it kept back; sensitivity names every layer."""

import json

import pytest

from calibration.recipe import Scheme
from pipeline.build.plan import Build
from tests.conftest import embedded_build


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("auto")
    config = folder / "auto.toml"
    config.write_text(
        'target = "reference"\n'
        "[calibration]\nimages = 32\nauto_seconds = 1\n[validation]\nimages = 60\nsensitivity = 16\n"
    )
    return embedded_build(config, folder / "out", recipe="auto")


def test_the_chosen_recipe_is_the_closest_that_was_tried(build: Build) -> None:
    recipe = build.recipe
    (choice,) = (build.store.root / "products" / "choose").glob("*/choice.json")
    trials = {one["recipe"]: one["closeness"]["sqnr_db"] for one in json.loads(choice.read_text())["trials"]}
    assert recipe.scheme is Scheme.ASYM
    assert trials[recipe.name] == max(trials.values())


def test_sensitivity_and_coverage_reach_the_report(build: Build) -> None:
    report = build.lasting_report.load()
    assert report.coverage is not None
    assert report.coverage.int8_macs == report.coverage.total_macs
    assert report.sensitivity is not None
    assert len(report.sensitivity) == 20  # 19 convolutions and the classifier
    accuracy = report.accuracy.sqnr_db
    assert accuracy is not None
    assert all(layer.sqnr_db > accuracy - 3 for layer in report.sensitivity)
