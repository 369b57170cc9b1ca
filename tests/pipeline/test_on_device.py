"""A whole build whose engine runs and is measured on a device, and one for several devices."""

import sys
from functools import partial
from pathlib import Path

import pytest

from pipeline.archive import verify
from pipeline.config import BuildConfig, load_config
from pipeline.fleet import build_on_all, devices_of
from pipeline.plan import Build
from pipeline.progress import Silent
from pipeline.publish import publish
from pipeline.report.model import Latency, PeakMemory, Report
from targets import registry
from targets.base import Origin
from targets.devices import Board
from targets.errors import TargetUnavailable
from targets.reach.probe import probe
from targets.tvm.board import BoardTarget
from targets.tvm.target import ArmTarget, host_isa
from tests.targets.reach.conftest import sshd  # noqa: F401 - a fixture
from tests.targets.reach.sshd import Sshd, needs_sshd


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """A target for boards with this machine's instructions."""
    try:
        board = Board("here", "this machine", host_isa().name, "max")
    except TargetUnavailable as error:
        pytest.skip(str(error))
    monkeypatch.setitem(registry._TARGETS, board.name, partial(ArmTarget, board))
    monkeypatch.setitem(registry._REACHED, board.name, partial(BoardTarget, board))
    monkeypatch.setattr(ArmTarget, "check", lambda _: None)  # nothing is emulated
    return board.name


@needs_sshd
def test_accuracy_and_latency_come_from_the_device(
    sshd: Sshd,  # noqa: F811
    here: str,
    quick: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    sshd.use_path(tmp_path / "bin")
    options = {"target": here, "device": str(sshd.address), "out": tmp_path / "out"}
    build = Build(load_config(BuildConfig, quick, options), Silent())
    report = Report.load(build.report.file("report.json"))
    assert (
        report.accuracy.top1.after.origin is Origin.DEVICE if hasattr(report.accuracy.top1, "after") else True
    )
    assert isinstance(report.latency_int8, Latency)
    assert report.latency_int8.origin is Origin.DEVICE
    assert report.latency_int8.before.cores == probe(sshd.device).cores
    assert isinstance(report.memory_int8, PeakMemory)
    assert report.speed is None  # FP32 ran here, not there
    assert report.machines[1].origin is Origin.DEVICE
    assert report.machines[1].description == probe(sshd.device).identity
    bundle = publish(build, "@board")
    assert bundle.name == "resnet20-fashion-here@board.edgec"
    assert verify(bundle).manifest.target == here
    again = Build(load_config(BuildConfig, quick, options), Silent())
    assert again.report.cached


def test_several_devices_are_named_with_commas() -> None:
    assert devices_of(BuildConfig(device="pi5, ssh://pi@nano")) == ["pi5", "ssh://pi@nano"]
    assert devices_of(BuildConfig()) == []


def test_a_device_that_fails_does_not_stop_the_others(quick: Path, tmp_path: Path) -> None:
    config = load_config(BuildConfig, quick, {"out": tmp_path / "out"})
    outcomes = build_on_all(config, ["ssh://one", "ssh://two"], Silent())
    assert [outcome.device for outcome in outcomes] == ["ssh://one", "ssh://two"]
    assert all("not reached over SSH" in (outcome.error or "") for outcome in outcomes)
