"""A build that compares FP32 and INT8 under camera corruptions, on the embedded model."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.data.corruptions import CORRUPTIONS
from pipeline.report.model.build_report import Report
from pipeline.stages.corrupt import SEVERITIES
from tests.conftest import Edgec
from tests.pipeline.build_runs import ran, rebuilt


@pytest.fixture(scope="module")
def corrupted(
    edgec: Edgec, quick: Path, out: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The output folder and the configuration of a build with a robustness test, after one without."""
    folder = tmp_path_factory.mktemp("robustness")
    shutil.copytree(out, folder / "out")
    config = folder / "robust.toml"
    config.write_text(quick.read_text().replace("[validation]\n", "[validation]\nrobustness = 20\n"))
    result = rebuilt(edgec, folder / "out", "--config", config)
    assert ran(result) == ["corrupt", "robustness", "report", "bundle", "report"]
    return folder / "out", config


def test_every_corruption_and_severity_sees_the_same_images(corrupted: tuple[Path, Path]) -> None:
    report = Report.load(corrupted[0] / "resnet20-fashion-reference" / "report.json")
    found = report.robustness
    assert found is not None
    assert [(one.corruption, one.severity) for one in found.corrupted] == [
        (corruption.name, severity) for corruption in CORRUPTIONS for severity in SEVERITIES
    ]
    assert {one.top1.images for one in found.corrupted} == {found.clean.images} == {20}
    assert found.parameters == "CIFAR-10-C"
    assert found.fp32_loss_points > 0


def test_it_is_kept_and_off_by_default(edgec: Edgec, quick: Path, corrupted: tuple[Path, Path]) -> None:
    out, config = corrupted
    assert ran(rebuilt(edgec, out, "--config", config)) == []
    rebuilt(edgec, out, "--config", quick)
    assert Report.load(out / "resnet20-fashion-reference" / "report.json").robustness is None


def test_a_second_run_gives_the_same_bytes(edgec: Edgec, corrupted: tuple[Path, Path]) -> None:
    out, config = corrupted
    (product,) = (out / "store" / "products" / "robustness").iterdir()
    first = (product / "robustness.json").read_bytes()
    shutil.rmtree(product)
    assert "robustness" in ran(rebuilt(edgec, out, "--config", config))
    assert (product / "robustness.json").read_bytes() == first
    assert json.loads(first)["seed"] == 0
