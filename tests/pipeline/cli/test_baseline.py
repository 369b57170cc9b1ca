"""A build is compared with its committed baseline; the exit code tells a CI server the verdict."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import Edgec


@pytest.fixture(scope="module")
def baselines(edgec: Edgec, quick: Path, out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines")
    done = edgec("baseline", "save", "--config", quick, "--out", out, "--folder", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_one_small_file_a_model_target_and_device(baselines: Path) -> None:
    (file,) = baselines.iterdir()
    assert file.name.startswith("resnet20-fashion-reference-")
    assert file.stat().st_size < 10_000


def test_a_build_compared_with_itself_loses_nothing(
    edgec: Edgec, quick: Path, out: Path, baselines: Path, tmp_path: Path
) -> None:
    files = ["--junit", tmp_path / "gates.xml", "--markdown", tmp_path / "summary.md"]
    done = edgec(
        "baseline", "compare", "--config", quick, "--out", out, "--folder", baselines, "--json", *files
    )
    comparison = json.loads(done.stdout)
    (drop,) = [gate for gate in comparison["gates"] if gate["name"] == "baseline_drop"]
    assert drop["value"] == 0
    assert done.returncode == {"pass": 0, "fail": 1, "inconclusive": 3}[comparison["verdict"]]
    assert comparison["exit_code"] == done.returncode
    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()  # noqa: S314 - our own file
    assert suite.tag in {"testsuite", "testsuites"}
    assert "resnet20-fashion" in (tmp_path / "summary.md").read_text()


def test_the_old_engine_is_raced_where_it_is_at_hand(
    edgec: Edgec, quick: Path, out: Path, baselines: Path
) -> None:
    old = out / "resnet20-fashion-reference.edgec"
    arguments = ["--config", quick, "--out", out, "--folder", baselines, "--old", old, "--max-latency", "50"]
    done = edgec("baseline", "compare", *arguments, "--json")
    gates = {gate["name"]: gate for gate in json.loads(done.stdout)["gates"]}
    assert any("latency" in name or "speed" in name for name in gates)


def test_without_a_baseline_the_message_says_how_to_make_one(
    edgec: Edgec, quick: Path, out: Path, tmp_path: Path
) -> None:
    done = edgec("baseline", "compare", "--config", quick, "--out", out, "--folder", tmp_path)
    assert done.returncode == 4
    assert "edgec baseline save" in done.stderr


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_an_old_bundle_that_does_not_fit_is_refused(
    edgec: Edgec, quick: Path, out: Path, baselines: Path, tmp_path: Path, damage: str
) -> None:
    old = tmp_path / "old.edgec"
    shutil.copy(out / "resnet20-fashion-reference.edgec", old)
    old.write_bytes(old.read_bytes()[:1000] if damage == "cut" else b"other")
    done = edgec("baseline", "compare", "--config", quick, "--out", out, "--folder", baselines, "--old", old)
    assert done.returncode == 1
    assert "old.edgec" in done.stderr
    assert "Traceback" not in done.stderr
