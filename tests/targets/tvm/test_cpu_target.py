"""ARM boards on a build machine with and without the emulator."""

import json
from pathlib import Path

import numpy as np
import pytest

from targets.base import CHECKS, Origin
from targets.errors import EngineError, TargetUnavailable
from targets.reach import emulator
from targets.registry import find_target
from targets.runtime.cpu import why_not
from targets.tvm import cpu_target, oracle
from targets.tvm.cpu_target import HostTarget, host_isa
from targets.tvm.importer import import_graph
from targets.tvm.isa import ISAS
from tests.calibration.conftest import pictures
from tests.targets.needs import or_skip
from tests.targets.tvm.qdq_model import QdqModel


@pytest.fixture
def model(tmp_path: Path) -> Path:
    or_skip(host_isa)
    m = QdqModel(8, 8, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 16, 3)), 0.5, 0)
    return m.save(m.gemm(m.node("Flatten", x), 5, 16 * 8 * 8), tmp_path / "model.onnx")


def test_without_the_emulator_figures_are_from_here_and_the_report_hears_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "QEMU", "qemu-that-is-not-here")
    target, images = find_target("arm"), pictures(4, (8, 8, 3))
    target.check()
    target.build(model, tmp_path / "model.engine")
    (check,) = json.loads((tmp_path / CHECKS).read_text())
    assert check["outcome"] == "skipped"
    assert "Not checked: qemu-that-is-not-here is not installed. On Debian and Ubuntu" in check["message"]
    assert target.origin is Origin.HOST
    assert not target.runs_here
    assert "nothing emulated" in target.fingerprint()
    assert target.instructions(tmp_path / "model.engine", images) is None
    with target.open(tmp_path / "model.engine") as runner:
        assert np.array_equal(runner.infer(images), oracle.run(import_graph(model), images))


def test_without_the_emulator_a_damaged_engine_is_still_found(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "QEMU", "qemu-that-is-not-here")
    target = find_target("arm")
    target.build(model, tmp_path / "model.engine")
    (tmp_path / "model.engine").write_bytes(b"\x99" * 1000)
    with pytest.raises(EngineError), target.open(tmp_path / "model.engine"):
        pass


def test_with_the_emulator_the_self_test_is_in_the_report(model: Path, tmp_path: Path) -> None:
    or_skip(emulator.check)
    target = find_target("rpi5")
    target.build(model, tmp_path / "model.engine")
    (check,) = json.loads((tmp_path / CHECKS).read_text())
    assert check["outcome"] == "passed"
    assert "cortex-a76, self-test: pass: 3 images" in check["message"]
    assert target.origin is Origin.EMULATOR


def test_a_machine_can_be_told_to_build_as_for_a_lesser_one(monkeypatch: pytest.MonkeyPatch) -> None:
    here = [isa.name for isa in ISAS.values() if why_not(isa.name) is None]
    if not here:
        pytest.skip("Engines have no instruction set for this machine.")
    for name in here:
        monkeypatch.setenv("EDGEC_ISA", name)
        assert host_isa().name == name
        assert HostTarget().device().endswith(f"limited to {name} by EDGEC_ISA")
        assert f" / {name} / " in HostTarget().fingerprint()
        assert f" and {name} " in find_target("arm").fingerprint()  # its stand-in is compiled for here


def test_it_never_claims_more_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*(isa.name for isa in ISAS.values() if why_not(isa.name)), "avx3"]:
        monkeypatch.setenv("EDGEC_ISA", name)
        with pytest.raises(
            TargetUnavailable, match=f"EDGEC_ISA is '{name}'; this machine's instruction sets"
        ):
            HostTarget().check()


@pytest.mark.parametrize(
    ("flags", "isa"),
    [("asimd", "neon"), ("asimd asimddp", "dotprod"), ("asimd asimddp i8mm", "i8mm")],
    ids=["Pi 4", "Pi 5", "Graviton 3"],
)
def test_on_an_arm_machine_the_host_is_arm(flags: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEC_ISA", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(cpu_target, "cpu_flags", lambda: frozenset(flags.split()))
    assert host_isa().name == isa
