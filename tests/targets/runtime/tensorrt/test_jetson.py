from pathlib import Path

import pytest

from targets.runtime.tensorrt import jetson
from tests.targets.tensorrt.jetpacks import RECORDINGS

NANO = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"


@pytest.fixture
def device(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that answers as a recorded Jetson does."""
    RECORDINGS[getattr(request, "param", "6.2")].write(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.parametrize(
    ("device", "l4t", "module", "mode", "memory"),
    [
        ("5.1", "35.4.1", "Jetson-AGX", "MODE_30W_ALL", 30276),
        ("6.2", "36.4.3", NANO, "MAXN_SUPER", 7619),
        ("7.0", "38.2.0", "NVIDIA Jetson AGX Thor Developer Kit", "MAXN", 125770),
    ],
    indirect=["device"],
)
def test_a_jetson_is_read(device: Path, l4t: str, module: str, mode: str, memory: int) -> None:
    facts = jetson.read_facts(device)
    assert (facts.l4t, facts.module, facts.power_mode, facts.memory_mib) == (l4t, module, mode, memory)
    assert facts.jetpack.startswith(("5.1", "6.2", "7.0"))
    assert facts.is_jetson
    assert str(facts).startswith(f"{module}, L4T {l4t}, JetPack {facts.jetpack}, ")


def test_another_gpu_is_reported_under_its_own_name(tmp_path: Path) -> None:
    card = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    card.parent.mkdir(parents=True)
    card.write_text("Model: \t\t NVIDIA GeForce RTX 4060\nIRQ: 147\n")
    facts = jetson.read_facts(tmp_path)
    assert not facts.is_jetson
    assert str(facts).startswith("NVIDIA GeForce RTX 4060 (not a Jetson), ")


def test_a_machine_without_any_says_so(tmp_path: Path) -> None:
    assert str(jetson.read_facts(tmp_path)).startswith("no NVIDIA GPU (not a Jetson), ")


def clocks(device: Path) -> list[str]:
    return (device / "clocks.log").read_text().splitlines()


def test_clocks_are_locked_and_given_back(device: Path) -> None:
    memory = device / "saved"
    with jetson.locked_clocks(memory, lambda _: None) as locked:
        assert locked
        assert memory.exists()
    assert clocks(device) == [f"--store {memory}", "", f"--restore {memory}"]
    assert not memory.exists()


def test_clocks_are_given_back_after_a_failure(device: Path) -> None:
    memory = device / "saved"
    with pytest.raises(KeyboardInterrupt), jetson.locked_clocks(memory, lambda _: None):
        raise KeyboardInterrupt
    assert clocks(device)[-1] == f"--restore {memory}"


def test_clocks_that_a_killed_run_left_locked_are_restored_first(device: Path) -> None:
    memory = device / "saved"
    said: list[str] = []
    memory.touch()
    with jetson.locked_clocks(memory, said.append):
        pass
    assert clocks(device)[:2] == [f"--restore {memory}", f"--store {memory}"]
    assert said == ["restoring the clocks that an interrupted run left locked"]


def test_clocks_that_cannot_be_locked_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    said: list[str] = []
    with jetson.locked_clocks(tmp_path / "saved", said.append) as locked:
        assert not locked
    assert said == ["clocks are not locked: that needs root and jetson_clocks"]
