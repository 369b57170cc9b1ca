"""A whole build whose engine runs and is measured on a device, and one for several devices."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from pipeline.build import fleet
from pipeline.build.fleet import build_on_all, devices_of, exit_code
from pipeline.build.plan import Build
from pipeline.build.publish import publish
from pipeline.bundle.contents import verify
from pipeline.cli.app import run
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.measured_latency import Latency
from pipeline.report.model.measured_sizes import Memory
from pipeline.units.cluster import DaskWorkers
from targets import registry
from targets.base import Origin
from targets.devices import CpuBoard
from targets.reach.probe import probe
from targets.tvm.cpu_target import ArmTarget, host_isa
from targets.tvm.ssh_board import BoardTarget
from tests.targets.needs import or_skip
from tests.targets.reach.conftest import sshd  # noqa: F401 - a fixture
from tests.targets.reach.sshd import Sshd, needs_sshd, running_pair


def needs_nothing(self: ArmTarget) -> None:
    """Stand in for the check that an emulator is there."""


def play_board(name: str, isa: str) -> None:
    """Make this process know a board with this machine's instructions."""
    board = CpuBoard(name, "this machine", isa, "max")
    registry.TARGETS[name] = partial(ArmTarget, board)
    registry.REACHED[name] = partial(BoardTarget, board)
    ArmTarget.check = needs_nothing  # type: ignore[method-assign]  # nothing is emulated


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """A target for boards with this machine's instructions, in this process and in those of a fleet."""
    isa = or_skip(host_isa).name
    monkeypatch.setattr(registry, "TARGETS", dict(registry.TARGETS))
    monkeypatch.setattr(registry, "REACHED", dict(registry.REACHED))
    monkeypatch.setattr(ArmTarget, "check", ArmTarget.check)  # so that it is put back
    play_board("here", isa)
    processes = partial(ProcessPoolExecutor, initializer=play_board, initargs=("here", isa))
    monkeypatch.setattr(fleet, "ProcessPoolExecutor", processes)
    return "here"


@pytest.fixture(scope="module")
def builds(quick_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder for all of these builds: they have the same engine, which takes seconds to compile."""
    return shutil.copytree(quick_build, tmp_path_factory.mktemp("builds") / "out", copy_function=shutil.copy2)


@pytest.fixture
def two_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Sshd, Sshd]]:
    """Two running SSH servers, called ssh://one and ssh://two in the client's configuration."""
    with running_pair(tmp_path, monkeypatch) as servers:
        yield servers


@needs_sshd
def test_accuracy_and_latency_come_from_the_device(
    sshd: Sshd,  # noqa: F811
    here: str,
    quick: Path,
    builds: Path,
    tmp_path: Path,
) -> None:
    sshd.give_this_python(tmp_path / "bin")
    options = {"target": here, "device": str(sshd.address), "out": builds}
    build = Build(load_config(BuildConfig, quick, options), Silent())
    report = build.report.load()
    assert report.accuracy.int8_origin is Origin.DEVICE
    assert isinstance(report.latency_int8, Latency)
    assert report.latency_int8.origin is Origin.DEVICE
    assert report.latency_int8.before.cores == probe(sshd.device).cores
    assert isinstance(report.memory_int8, Memory)
    assert report.speed is None  # latency_fp32 is from here
    (race,) = [gate for gate in report.gates if gate.name == "min_speedup"]
    assert (race.origin, race.claim) == (Origin.DEVICE, "INT8 is not slower than FP32")
    assert race.value is not None  # FP32 ran there too, in alternation
    assert report.machines[1].origin is Origin.DEVICE
    assert report.machines[1].description == probe(sshd.device).identity
    bundle = publish(build, f"{build.name}@board")
    assert bundle.name == "resnet20-fashion-here@board.edgec"
    assert verify(bundle).manifest.target == here
    again = Build(load_config(BuildConfig, quick, options), Silent())
    assert again.report.product.cached


@needs_sshd
@pytest.mark.slow
def test_the_worker_that_reaches_the_board_measures_it(
    sshd: Sshd,  # noqa: F811
    here: str,
    quick: Path,
    builds: Path,
    tmp_path: Path,
) -> None:
    sshd.give_this_python(tmp_path / "bin")
    device = str(sshd.address)
    config = load_config(BuildConfig, quick, {"target": here, "device": device, "out": builds})
    shutil.rmtree(builds / "store" / "products" / "measure", ignore_errors=True)
    board = {f"board:{device}": 1}
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, resources=board, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        build = Build(config, Silent(), DaskWorkers(client))
        report = build.report.load()
    (measured,) = [step for step in build.steps if step.stage == "measure"]
    assert measured.cached, "the worker made it"
    assert isinstance(report.latency_int8, Latency)
    assert report.latency_int8.origin is Origin.DEVICE
    assert run(["unit", "run", build.measurement.key()[:12], "--out", str(builds)]) == 0


def test_several_devices_are_named_with_commas() -> None:
    assert devices_of(BuildConfig(device="pi5, ssh://pi@nano")) == ["pi5", "ssh://pi@nano"]
    assert devices_of(BuildConfig()) == []


def test_a_device_that_fails_does_not_stop_the_others(quick: Path, tmp_path: Path) -> None:
    config = load_config(BuildConfig, quick, {"out": tmp_path / "out"})
    outcomes = build_on_all(config, ["ssh://one", "ssh://two"], Silent())
    assert [outcome.device for outcome in outcomes] == ["ssh://one", "ssh://two"]
    assert all("not reached over SSH" in (outcome.error or "") for outcome in outcomes)


@needs_sshd
def test_two_devices_are_measured_with_one_engine_and_each_gets_its_report(
    two_devices: tuple[Sshd, Sshd], here: str, quick: Path, builds: Path
) -> None:
    config = load_config(BuildConfig, quick, {"target": here, "out": builds})
    outcomes = build_on_all(config, ["ssh://one", "ssh://two"], Silent())
    assert [(outcome.device, outcome.error) for outcome in outcomes] == [
        ("ssh://one", None),
        ("ssh://two", None),
    ]
    reports = []
    for outcome, name in zip(outcomes, ("one", "two"), strict=True):
        assert outcome.bundle == builds / f"resnet20-fashion-here@{name}.edgec"
        assert outcome.report is not None
        report = Report.load(outcome.report)
        assert isinstance(report.latency_int8, Latency)
        assert report.latency_int8.origin is report.machines[1].origin is Origin.DEVICE
        assert exit_code(outcome) == (1 if report.verdict is Verdict.FAIL else 0)
        assert verify(outcome.bundle).manifest.target == here
        reports.append(report)
    one, two = reports
    assert one.latency_int8 != two.latency_int8  # two boards of one kind, each of which was measured
    engines = {
        verify(outcome.bundle).manifest.files["engine/model.engine"] for outcome in outcomes if outcome.bundle
    }
    assert len(engines) == 1
    ran = [list(server.home.glob("edgec/measured/*-model.engine")) for server in two_devices]
    assert [len(found) for found in ran] == [1, 1]
