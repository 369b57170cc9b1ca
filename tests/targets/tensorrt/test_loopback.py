"""The whole way to a Jetson over a real SSH connection, with doubles of its libraries at the other end."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.report.speed import speed_ratio
from targets.base import BuildState, HasCandidates, HasFp16, Origin, ReportsProgress
from targets.devices import Jetson, jetsons
from targets.errors import DeviceError, EngineError, TargetUnavailable
from targets.reach.kept_open import one_session
from targets.reach.probe import check_board
from targets.reach.remote import StreamRunner
from targets.reach.ssh import SshAddress, SshDevice
from targets.registry import find_target
from targets.runtime.measure import Settings
from targets.runtime.tensorrt.candidate import candidates
from targets.tensorrt import device as over_ssh
from targets.tensorrt.device import JetsonOnDevice
from tests.conftest import ROOT
from tests.targets.reach.sshd import Sshd, needs_sshd, running_sshd
from tests.targets.tensorrt.bindings import BINDINGS, unpack, wheel
from tests.targets.tensorrt.device_double import CLASSES, SHAPE, logits_of
from tests.targets.tensorrt.loopback import install
from tests.targets.tensorrt.on_device import pictures
from tests.targets.tensorrt.two_convolutions import two_convolutions

pytestmark = needs_sshd
VERSIONS = {"5.1": "8.6.1", "6.0": "8.6.1", "6.2": "10.3.0", "7.1": "10.13.3.9", "7.2": "10.16.1.11"}
NO_GPU = r"no NVIDIA GPU answers here: .+\. Engines for a Jetson are built on the Jetson itself"
QUICK = Settings(min_runs=10, max_runs=10, max_warmup_seconds=0.05)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    missing = [version for version in VERSIONS.values() if wheel(BINDINGS[version]) is None]
    if missing:
        pytest.skip(f"the bindings of TensorRT {missing[0]} are not here: run scripts/tensorrt_wheels.sh")
    return {jetpack: unpack(v, tmp_path_factory.mktemp("bindings")) for jetpack, v in VERSIONS.items()}


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    over_ssh.module_facts.cache_clear()
    over_ssh.tool.cache_clear()
    with running_sshd(tmp_path / "sshd", monkeypatch) as server:
        server.give_this_python(tmp_path / "bin")
        yield server


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """What a build leaves for the device: ONNX files that only the double can run."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *SHAPE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])
    for name in find_target("jetson").shipped:
        onnx.save(helper.make_model(helper.make_graph([], name, [image], [logits])), tmp_path / name)
    return tmp_path / JetsonOnDevice.engine_name


@pytest.fixture
def target(sshd: Sshd, unpacked: dict[str, Path]) -> JetsonOnDevice:
    sshd.use_path(install(sshd.folder / "jetson", "6.2", unpacked["6.2"]))
    return JetsonOnDevice(jetsons()["jetson-orin-nano"], sshd.device)


def runs(target: JetsonOnDevice, engine: Path) -> None:
    """What a new process does: nothing is remembered here."""
    target = JetsonOnDevice(target.module, target.reached)
    images = pictures(5)
    with target.open(engine) as runner:
        assert np.array_equal(runner.infer(images), logits_of(images))


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


def with_convolutions(folder: Path, module: Jetson) -> Path:
    """ONNX files of two convolutions with 2:4 weights, each another file."""
    for number, name in enumerate(JetsonOnDevice(module, SshDevice(SshAddress("none"))).shipped):
        weights = np.zeros((4, 4, 1, 1), np.int8)
        weights[:, :2] = number + 1
        graph = onnx.load_model_from_string(two_convolutions(weights))
        graph.graph.node.append(helper.make_node("Identity", ["second"], ["logits"]))
        del graph.graph.input[:], graph.graph.output[:]
        graph.graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *SHAPE]))
        graph.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES]))
        onnx.save(graph, folder / name)
    return folder / JetsonOnDevice.engine_name


@pytest.mark.parametrize(
    "jetpack", [pytest.param(name, marks=[] if name == "6.2" else pytest.mark.slow) for name in VERSIONS]
)
def test_one_of_all_candidates_is_chosen_there(
    sshd: Sshd, unpacked: dict[str, Path], tmp_path: Path, jetpack: str
) -> None:
    """All that compete anywhere compete on one device; a cut costs nothing that was built."""
    sshd.use_path(install(sshd.folder / "jetson", jetpack, unpacked[jetpack]))
    module = replace(jetsons()["jetson-thor"], sm="87")
    engine = with_convolutions(tmp_path, module)
    strong = not VERSIONS[jetpack].startswith("8")
    fastest_but_wrong = "int8_half.onnx" if strong else "dla.onnx"
    steered = {"ms": {"fp16.onnx": 5, "mixed.onnx": 1, fastest_but_wrong: 0}, "wrong": [fastest_but_wrong]}
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


def cut_while_held(sshd: Sshd, step: str, work: Callable[[], object]) -> None:
    """Cut the connection while a step waits, and let it go on without one."""
    hold, held = sshd.home / f"hold-{step}", sshd.home / f"held-{step}"
    hold.touch()

    def cut() -> None:
        while not held.exists():
            time.sleep(0.02)
        sshd.cut()
        hold.unlink()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(DeviceError):
        work()
    cutter.join()


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


def test_another_number_of_logits_is_named(target: JetsonOnDevice, engine: Path) -> None:
    network = onnx.load(engine)
    network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = CLASSES + 1
    onnx.save(network, engine)
    with pytest.raises(EngineError, match="the engine gives 5 logits an image, the network has 6"):
        runs(target, engine)


def test_the_doctor_examines_a_jetson_over_the_network(target: JetsonOnDevice) -> None:
    results = {finding.what: finding for finding in check_board(target.reached)}
    assert results["TensorRT"].found == "10.3.0"
    assert results["GPU"].found == "sm_87, CUDA 12.6"
    assert results["power mode"].found == "MAXN_SUPER"
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


def test_without_a_gpu_it_says_so_in_one_line(sshd: Sshd, engine: Path) -> None:
    target = JetsonOnDevice(jetsons()["jetson"], sshd.device)
    target.check()
    assert "no NVIDIA GPU (not a Jetson)" in target.device()
    with pytest.raises(EngineError) as error, target.open(engine):
        pass
    assert re.fullmatch(f"{re.escape(str(sshd.address))}: {NO_GPU}", str(error.value))
    assert {path.name for path in sshd.home.rglob("*.onnx")} == set(target.shipped)


def test_another_module_is_refused_by_its_name(target: JetsonOnDevice) -> None:
    with pytest.raises(TargetUnavailable, match=r"Orin Nano.*\(sm_87\); jetson-thor is for sm_110"):
        JetsonOnDevice(jetsons()["jetson-thor"], target.reached).check()


@pytest.mark.parametrize("step", ["engines", "measure"])
def test_after_a_cut_connection_the_next_run_goes_on(
    sshd: Sshd, target: JetsonOnDevice, engine: Path, step: str
) -> None:
    cut_while_held(sshd, step, lambda: whole(target, engine))
    built = {path: path.stat().st_mtime_ns for path in sshd.home.rglob("*.plan")}
    whole(target, engine)
    assert {path: path.stat().st_mtime_ns for path in built} == built


def whole(target: JetsonOnDevice, engine: Path) -> None:
    target.device()
    runs(target, engine)
    target.measure(engine, pictures(8), QUICK, threads=1)


def test_a_connection_cut_between_images_is_made_again(
    sshd: Sshd, target: JetsonOnDevice, engine: Path
) -> None:
    images = pictures(4)
    with target.open(engine) as runner:
        assert np.array_equal(runner.infer(images), logits_of(images))
        sshd.cut()
        assert np.array_equal(runner.infer(images), logits_of(images))


def test_a_full_disk_is_named_and_leaves_nothing_half_written(
    sshd: Sshd, target: JetsonOnDevice, engine: Path
) -> None:
    (sshd.home / "disk-full").touch()
    with pytest.raises(EngineError, match="No space left on device"):
        runs(target, engine)
    assert list(sshd.home.rglob("*.plan")) + list(sshd.home.rglob("*.part")) == []
    (sshd.home / "disk-full").unlink()
    runs(target, engine)


def test_a_damaged_engine_is_built_again(sshd: Sshd, target: JetsonOnDevice, engine: Path) -> None:
    runs(target, engine)
    (plan,) = sshd.home.rglob("int8.plan")
    whole_plan = plan.read_bytes()
    plan.write_bytes(whole_plan[:-1] + b"?")
    runs(target, engine)
    assert plan.read_bytes() == whole_plan


def test_a_missing_engine_is_an_error_before_anything_is_sent(target: JetsonOnDevice, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no engine"), target.open(tmp_path / "none.onnx"):
        pass
    assert shutil.which("python3")


@pytest.mark.slow
def test_a_build_walks_every_step_up_to_the_missing_gpu(sshd: Sshd, quick: Path, tmp_path: Path) -> None:
    options = ["--target", "jetson", "--device", str(sshd.address), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "pipeline", "build", "--config", str(quick), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(f"edgec: {re.escape(str(sshd.address))}: {NO_GPU}", last)
    assert "Traceback" not in done.stderr
    assert {path.name for path in sshd.home.rglob("*.onnx")} == set(find_target("jetson").shipped)
