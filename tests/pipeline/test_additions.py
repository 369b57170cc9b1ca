"""A toolchain is its package and a line in the registry, a board one table: the pipeline knows neither."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.build.plan import Build
from pipeline.bundle.contents import read_manifest
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report
from pipeline.report.model.performance import Latency
from targets import registry
from tests.conftest import ROOT

TOOLCHAIN = """
from importlib.metadata import version

from calibration.recipe import QuantRecipe
from targets.base import BuildState, Origin
from targets.runtime.native_runner import LayerTime
from targets.runtime.reference_runner import open_engine


class AcmeTarget:
    name = "acme"
    summary = "a toolchain of a test: it keeps the graph as it is"
    recipe = QuantRecipe.parse("w8a8_asym_minmax")
    float_precision = "fp32"
    origin = Origin.HOST
    runs_here = True
    state = BuildState.BUILT
    engine_name = "acme.bin"
    shipped = ("acme.bin",)
    packages = ("pytest",)
    runner = "acme"

    def check(self):
        pass

    def device(self):
        return "an anvil"

    def fingerprint(self):
        return "anvil 1"

    def build(self, model, engine, float_model=None):
        engine.write_bytes(model.read_bytes())

    def instructions(self, engine, images):
        return None

    def open(self, engine):
        return open_engine(engine, 1)

    def layer_times(self, engine, image):
        return [LayerTime("everything", True, 1, 2.0)]
"""
"""A package with its target and its runner, as `targets.base` wants them."""


def test_a_toolchain_is_built_measured_and_bundled_like_the_others(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme.py").write_text(TOOLCHAIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the process that measures
    import acme  # type: ignore[import-not-found] # written above

    monkeypatch.setitem(registry.TARGETS, "acme", acme.AcmeTarget)
    options = {"target": "acme", "out": tmp_path / "out", "validation.max_drop": 50.0}
    build = Build(load_config(BuildConfig, quick, options), Silent())
    report = Report.load(build.report.file("report.json"))
    assert report.tools["pytest"] == version("pytest")
    assert "apache-tvm" not in report.tools
    assert report.coverage is not None
    assert report.coverage.times is not None
    assert [layer.layer for layer in report.coverage.times.layers] == ["everything"]
    assert isinstance(report.latency_int8, Latency)
    (name,) = build.bundle.digests
    assert read_manifest(build.bundle.file(name)).runner == "acme"
    sys.modules.pop("acme")


def test_a_board_is_one_table(tmp_path: Path) -> None:
    for package in ("pipeline", "targets", "calibration"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "targets/devices.toml").open("a") as tables:
        tables.write('\n[anvil]\nsummary = "a board of a test"\nisa = "dotprod"\nemulated_cpu = "max"\n')
    listed = [sys.executable, "-m", "pipeline", "targets"]
    said = subprocess.run(listed, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "a board of a test" in said
