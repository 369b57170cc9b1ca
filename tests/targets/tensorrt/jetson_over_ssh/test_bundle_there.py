"""An unpacked bundle on a Jetson over SSH: built there, throughput, a soak, its power modes, and the report.

TensorRT's and CUDA's libraries are doubles, so times and rates are made up; what is read of the system is
read as on a device, from files and programs that stand for its own.
"""

import json
from pathlib import Path

import pytest

from pipeline.bundle.pack import pack
from pipeline.report.markdown import report_summary
from pipeline.report.model.power_mode_sweep import PowerModeSweep
from pipeline.report.model.sustained_run import SustainedRun
from targets.devices import jetsons
from targets.runtime.sustained.soak import UNDECIDED
from targets.runtime.tensorrt.throughput import RECORD
from tests.pipeline.report.samples import report
from tests.targets.reach.sshd import Sshd, needs_sshd
from tests.targets.runtime.nvpmodel_listings import install_modes
from tests.targets.runtime.sustained.boards import TEGRASTATS_JETPACK_7_2, TEGRASTATS_ORIN_NANO
from tests.targets.tensorrt.jetson_over_ssh.jetson_steps import VERSIONS, with_convolutions
from tests.targets.tensorrt.loopback import CHECKOUT, install
from tests.targets.tensorrt.unpacked_bundle import write_bundle

pytestmark = needs_sshd
PLACE = "edgec/made-up-jetson"


def unpack_there(sshd: Sshd, scratch: Path) -> None:
    """Send a bundle over SSH and unpack it, as docs/jetson.md has it."""
    graphs = scratch / "graphs"
    graphs.mkdir()
    with_convolutions(graphs, jetsons()["jetson-orin-nano"])
    (scratch / "bundle").mkdir()
    folder = write_bundle(scratch / "bundle", {path.name: path.read_bytes() for path in graphs.iterdir()})
    runtime = CHECKOUT / "targets" / "runtime"
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files |= {
        f"runtime/{path.relative_to(runtime).as_posix()}": path.read_bytes() for path in runtime.rglob("*.py")
    }
    files |= {
        name: (runtime / f"{name.removesuffix('.py')}.py").read_bytes()
        for name in ("run", "build_on_device.py")
    }
    pack(files, scratch / "made-up.edgec", top="made-up-jetson")
    sshd.device.send(scratch / "made-up.edgec", "made-up.edgec")
    assert sshd.device.run(["tar", "-xzf", "made-up.edgec", "--one-top-level=edgec"]).returncode == 0


def runs_there(sshd: Sshd, program: str, *arguments: str, code: int = 0) -> str:
    done = sshd.device.run([f"{PLACE}/{program}", *arguments])
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("jetpack", VERSIONS)
def test_a_bundle_does_there_all_that_its_programs_do(
    sshd: Sshd, unpacked: dict[str, Path], tmp_path: Path, jetpack: str
) -> None:
    root = sshd.folder / "jetson"
    programs = install(root, jetpack, unpacked[jetpack])
    install_modes(root, "5" if jetpack.startswith("5") else "6")
    line = TEGRASTATS_JETPACK_7_2 if jetpack == "7.2" else TEGRASTATS_ORIN_NANO
    (programs / "tegrastats").write_text(f"#!/bin/sh\nwhile sleep 0.02; do echo '{line}'; done\n")
    (programs / "tegrastats").chmod(0o755)
    sshd.use_path(programs)
    unpack_there(sshd, tmp_path)
    strong = not VERSIONS[jetpack].startswith("8")
    steered = {"ms": {"fp16.onnx": 5, "mixed.onnx": 1}, "wrong": [], "slow": "second"}
    (sshd.home / "engines.json").write_text(json.dumps(steered))
    said = runs_there(sshd, "build_on_device.py", "--max-drop", "50")
    assert "mixed: p50 1.00" in said
    found = json.loads((sshd.home / PLACE / "engine" / "device.json").read_text())
    assert found["facts"]["power_mode"] == "25W"
    built = {"int8", "fp16", "mixed", "dla"} | ({"int8_half", "int8_qdq"} if strong else set())
    assert found["latency"].keys() == built
    assert found["layers"]["int8"]["separate_qdq"] == []  # this double names convolutions alone
    _throughput(sshd)
    (sshd.home / "engines.json").unlink()  # from here on time passes as it does
    soaked = _soak(sshd, tmp_path)
    swept = _power_modes(sshd, tmp_path, root)
    rails = soaked.energy.rails if soaked.energy else ""
    assert (
        rails
        == ("sum of VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0" if jetpack == "7.2" else "VDD_IN")
        + ", by tegrastats"
    )
    shown = report_summary(report().replace(sustained=soaked, power_modes=swept)).replace("\\", "")
    assert "A soak of the candidate mixed" in shown
    assert "Power mode 25W." in shown
    assert "Not measured, since they need a reboot: 7W." in shown


def _throughput(sshd: Sshd) -> None:
    options = ["--batches", "1", "4", "--streams", "2", "--seconds", "0.05"]
    said = runs_there(sshd, "run", "throughput", *options)
    assert "knee: batch" in said
    points = [one["point"] for one in json.loads((sshd.home / PLACE / RECORD).read_text())]
    assert {(p["batch"], p["streams"]) for p in points if p["where"] == "GPU"} == {
        (1, 1),
        (1, 2),
        (4, 1),
        (4, 2),
    }
    assert {p["where"] for p in points} == {"GPU", "DLA 0", "DLA 1", "DLA 0 + DLA 1", "GPU + DLA 0 + DLA 1"}
    again = runs_there(sshd, "run", "throughput", *options)
    assert again.count("images a second\n") == 1  # the knee: nothing was measured again


def _soak(sshd: Sshd, scratch: Path) -> SustainedRun:
    options = ["--idle-seconds", "0.2", "--minutes"]
    for minutes in ("0.03", "0.1", "0.5"):  # a busy machine may leave it undecided, and says to run it longer
        done = sshd.device.run([f"{PLACE}/run", "soak", *options, minutes, "--sustained-p90-ms", "10000"])
        if done.returncode != UNDECIDED:
            break
    assert ": pass, it is" in done.stdout, done.stdout + done.stderr
    runs_there(sshd, "run", "soak", *options, "0.03", "--sustained-p90-ms", "0.000001", code=1)
    sshd.device.fetch(f"{PLACE}/soak.json", scratch / "soak.json")
    return SustainedRun.model_validate_json((scratch / "soak.json").read_bytes())


def _power_modes(sshd: Sshd, scratch: Path, root: Path) -> PowerModeSweep:
    said = runs_there(sshd, "run", "power-modes", "--seconds", "0.3", "--idle-seconds", "0.1", code=3)
    assert "7W needs a reboot: sudo nvpmodel -m 3" in said
    sshd.device.fetch(f"{PLACE}/power_modes.json", scratch / "power_modes.json")
    found = PowerModeSweep.model_validate_json((scratch / "power_modes.json").read_bytes())
    assert list(found.results) == ["25W", "15W", "MAXN_SUPER"]
    assert all(one.power_mode == name for name, one in found.results.items())
    assert (found.not_in_force, found.left, (root / "mode").read_text()) == ({}, ("7W",), "1\n")
    return found
