"""A Jetson without a GPU, of another kind, with a full disk, or whose connection is cut."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from targets.devices import jetsons
from targets.errors import DeviceError, EngineError, TargetUnavailable
from targets.registry import find_target
from targets.tensorrt.device import JetsonOnDevice
from tests.conftest import ROOT
from tests.targets.reach.sshd import Sshd, needs_sshd
from tests.targets.tensorrt.device_double import CLASSES, logits_of
from tests.targets.tensorrt.jetson_over_ssh.jetson_steps import NO_GPU, QUICK, cut_while_held, runs
from tests.targets.tensorrt.on_device import pictures

pytestmark = needs_sshd


def test_another_number_of_logits_is_named(target: JetsonOnDevice, engine: Path) -> None:
    network = onnx.load(engine)
    network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = CLASSES + 1
    onnx.save(network, engine)
    with pytest.raises(DeviceError, match="the engine gives 5 logits an image, the network has 6"):
        runs(target, engine)


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
