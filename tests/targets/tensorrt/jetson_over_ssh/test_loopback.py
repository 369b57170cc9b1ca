"""The whole way to a Jetson over a real SSH connection, with doubles of its libraries at the other end."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.speed import speed_ratio
from targets.base import BuildState, HasCandidates, HasFp16, Origin, ReportsProgress
from targets.devices import jetsons
from targets.reach.kept_open import one_session
from targets.reach.probe import check_board
from targets.reach.remote import StreamRunner
from targets.reach.ssh import SshDevice
from targets.runtime.tensorrt.candidate import candidates
from targets.tensorrt.device import JetsonOnDevice
from tests.targets.reach.sshd import Sshd, needs_sshd
from tests.targets.runtime.nvpmodel_listings import install_modes, put_in_force
from tests.targets.tensorrt.device_double import logits_of
from tests.targets.tensorrt.jetson_over_ssh.jetson_steps import (
    QUICK,
    VERSIONS,
    cut_while_held,
    runs,
    with_convolutions,
)
from tests.targets.tensorrt.loopback import install
from tests.targets.tensorrt.on_device import pictures

pytestmark = needs_sshd


@pytest.mark.parametrize("jetpack", VERSIONS)
def test_engines_are_built_run_and_timed_there(
    sshd: Sshd, unpacked: dict[str, Path], engine: Path, jetpack: str
) -> None:
    sshd.use_path(install(sshd.folder / "jetson", jetpack, unpacked[jetpack]))
    target = JetsonOnDevice(replace(jetsons()["jetson"], sm="87"), sshd.device)
    target.check()
    assert (target.origin, target.state) == (Origin.DEVICE, BuildState.ON_DEVICE)
    assert f"TensorRT {VERSIONS[jetpack]}" in target.device()
    assert f"JetPack {jetpack}" in target.device()
    runs(target, engine)
    measured = target.measure(engine, pictures(8), QUICK, threads=1)
    assert len(measured.runs_ns) == 10
    fp16 = target.fp16_latency()
    assert fp16 is not None
    assert speed_ratio(fp16, measured).ratio > 0  # they alternated
    with target.open_fp16(engine) as runner:
        assert np.array_equal(runner.infer(pictures(5)), logits_of(pictures(5)))
    said = {check.name: check.message for check in target.findings()}
    assert "clocks locked" in said["circumstances"]
    assert said["INT8 engine"].startswith(
        "1 of 3 layers and 60% of the time in INT8; 0 of them write INT8, the others floats; reformats: Ref"
    )
    assert isinstance(target, HasCandidates)
    tried = {one.name: one for one in target.candidates()}
    (mixed,) = tried.keys() - {one.name for one in candidates(VERSIONS[jetpack])}
    assert "do not tell 0 convolutions apart" in tried.pop(mixed).problem  # the graph has none
    for one in tried.values():
        assert one.times is not None, one.problem
        assert (one.times.layers, one.times.int8_layers, one.times.same_class) == (3, 1, 1.0)
    clocks = (sshd.folder / "jetson" / "clocks.log").read_text().splitlines()
    assert clocks[0].startswith("--store")
    assert clocks[-1].startswith("--restore")


@pytest.mark.parametrize(
    "jetpack", [pytest.param(name, marks=[] if name == "6.2" else pytest.mark.slow) for name in VERSIONS]
)
def test_one_of_all_candidates_is_chosen_there(
    sshd: Sshd, unpacked: dict[str, Path], tmp_path: Path, jetpack: str
) -> None:
    """All candidates of all devices compete on one; after a cut connection nothing is built again."""
    sshd.use_path(install(sshd.folder / "jetson", jetpack, unpacked[jetpack]))
    module = replace(jetsons()["jetson-thor"], sm="87")
    engine = with_convolutions(tmp_path, module)
    strong = not VERSIONS[jetpack].startswith("8")
    fastest_but_wrong = "int8_half.onnx" if strong else "dla.onnx"
    steered = {"ms": {"fp16.onnx": 5, "mixed.onnx": 1, fastest_but_wrong: 0.5}, "wrong": [fastest_but_wrong]}
    (sshd.home / "engines.json").write_text(json.dumps({**steered, "slow": "second"}))
    images = pictures(128)
    logits = logits_of(images)
    np.savez(tmp_path / "evaluation.npz", images=images, labels=logits.argmax(axis=1), int8=logits)

    enough = replace(QUICK, min_runs=40, max_runs=40)

    def measured() -> JetsonOnDevice:
        target = JetsonOnDevice(module, sshd.device)
        target.choose_by(tmp_path / "evaluation.npz", 8.0)
        target.measure(engine, pictures(8), enough, threads=1)
        return target

    target = JetsonOnDevice(module, sshd.device)
    runs(target, engine)
    before = {path: path.stat().st_mtime_ns for path in sshd.home.rglob("*.plan")}
    assert {path.stem for path in before} == {"int8", "fp16"}
    if jetpack == "6.2":
        cut_while_held(sshd, "building", measured)
    tried = {one.name: one for one in measured().candidates()}
    expected = {"int8", "fp16", "mixed", "dla"} | ({"int8_half", "int8_qdq", "fp8"} if strong else set())
    assert {name: one.problem for name, one in tried.items()} == dict.fromkeys(expected, "")
    assert {name: one.chosen for name, one in tried.items() if one.chosen}.keys() == {"mixed"}, tried
    assert "top-1 drop 0.00 [" in tried["mixed"].chosen
    assert tried["dla"].what.endswith("on the GPU: second")
    for name, one in tried.items():
        assert one.times is not None
        wrong = name == Path(fastest_but_wrong).stem
        assert (one.times.drop is None) == (name == "fp16")
        assert one.times.drop is None or (one.times.drop[0] > 50) == wrong
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    builds = dict(line.split(" ", 1) for line in (sshd.home / "builds.log").read_text().splitlines())
    assert all("SPARSE_WEIGHTS" in flags for flags in builds.values()), builds
    assert "GPU_FALLBACK" in builds["dla.onnx"]


def test_each_batch_has_engines_of_its_own(sshd: Sshd, target: JetsonOnDevice, engine: Path) -> None:
    """An engine for one image is no engine for eight, and what `open` uses stays."""
    runs(target, engine)
    before = {path: path.stat().st_mtime_ns for path in sshd.home.rglob("*.plan")}
    measured = target.measure(engine, pictures(8), replace(QUICK, batch=8), threads=1)
    assert measured.batch == 8
    plans = {path.parent.parent.name.partition("-")[2]: path for path in sshd.home.rglob("int8.plan")}
    assert {name: path.read_bytes().split()[-1] for name, path in plans.items()} == {
        "": b"1,1,1",
        "batch8": b"8,8,8",
    }
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


@pytest.mark.parametrize("jetpack", VERSIONS)
def test_the_doctor_examines_a_jetson_over_the_network(
    sshd: Sshd, unpacked: dict[str, Path], jetpack: str
) -> None:
    """Its power mode is not in force: another program changed the GPU's limit."""
    root = sshd.folder / "jetson"
    sshd.use_path(install(root, jetpack, unpacked[jetpack]))
    install_modes(root, "5" if jetpack.startswith("5") else "6")
    put_in_force(root, "15W", "5" if jetpack.startswith("5") else "6")
    results = {finding.what: finding for finding in check_board(sshd.device)}
    assert results["TensorRT"].found == VERSIONS[jetpack]
    assert results["GPU"].found == "sm_87, CUDA 12.6"
    mode = results["power mode"]
    assert (mode.fine, mode.command) == (False, "sudo nvpmodel -m 1")
    assert mode.found.startswith(
        "25W, not in force (CPU_A78_0 MAX_FREQ is 1497600, not 1344000; GPU MAX_FREQ is "
    )
    assert results["NumPy"].found == np.__version__
    assert results["Python"].fine is True


def test_what_the_device_says_is_heard_while_it_works(target: JetsonOnDevice, engine: Path) -> None:
    said: list[str] = []
    target.say = said.append
    assert isinstance(target, ReportsProgress)
    assert isinstance(target, HasFp16)
    with target.open(engine):
        pass
    heard = [line.removeprefix(f"{target.reached.address}: ") for line in said]
    assert "int8: not built on this device yet" in heard
    assert "building int8_qdq_fp16.onnx" in heard
    assert "building fp16.onnx: done in 0 s" in heard
    assert not any("{" in line for line in said)


def test_what_is_there_is_not_built_again(sshd: Sshd, target: JetsonOnDevice, engine: Path) -> None:
    runs(target, engine)
    plans = {path: path.stat().st_mtime_ns for path in sshd.home.rglob("*.plan")}
    assert len(plans) == 2
    runs(target, engine)
    assert {path: path.stat().st_mtime_ns for path in plans} == plans


def test_the_units_of_a_validation_share_one_program(
    target: JetsonOnDevice, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each unit makes the target anew; the engine is loaded once, and the program ends with the session."""
    started: list[Sequence[str]] = []
    start = SshDevice.start

    def counted(device: SshDevice, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        started.append(command)
        return start(device, command)

    monkeypatch.setattr(SshDevice, "start", counted)
    with one_session():
        for _ in range(3):
            runs(target, engine)
        fresh = JetsonOnDevice(target.module, target.reached)
        with fresh.open(engine) as runner, fresh.open(engine) as again:
            assert runner is again
        assert isinstance(runner, StreamRunner)
    assert ["stream" in command for command in started].count(True) == 1
    runs(target, engine)
    assert ["stream" in command for command in started].count(True) == 2
