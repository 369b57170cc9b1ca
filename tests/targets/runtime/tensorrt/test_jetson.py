from pathlib import Path

import pytest

from targets.runtime.tensorrt import jetson
from targets.runtime.tensorrt.cuda import Cuda, CudaError
from targets.runtime.tensorrt.device_engines import check
from targets.runtime.tensorrt.engine import EngineProblem

ORIN = "NVIDIA Jetson AGX Orin Developer Kit"
NANO = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"


@pytest.mark.parametrize(
    ("device", "l4t", "module", "mode", "memory"),
    [
        ("5.1", "35.4.1", "Jetson-AGX", "MODE_30W_ALL", 30276),
        ("6.0", "36.3.0", ORIN, "MAXN", 30699),
        ("6.2", "36.4.3", NANO, "MAXN_SUPER", 7619),
        ("7.0", "38.2.0", "NVIDIA Jetson AGX Thor Developer Kit", "MAXN", 125770),
        ("7.1", "38.4.0", "NVIDIA Jetson AGX Thor Developer Kit", "MAXN", 125771),
        ("7.2", "39.2.0", ORIN, "MAXN", 61368),
    ],
    indirect=["device"],
)
def test_a_jetson_is_read(device: Path, l4t: str, module: str, mode: str, memory: int) -> None:
    facts = jetson.read_facts(device)
    assert (facts.l4t, facts.module, facts.power_mode, facts.memory_mib) == (l4t, module, mode, memory)
    assert facts.jetpack.startswith(("5.1", "6.0", "6.2", "7."))
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


def test_a_container_without_release_file_is_a_jetson_by_its_device_tree(device: Path) -> None:
    (device / "etc/nv_tegra_release").unlink()
    (device / "proc/device-tree/compatible").write_bytes(b"nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0")
    (device / "bin/dpkg-query").write_text(
        '#!/bin/sh\n[ "$4" = nvidia-l4t-core ] && printf 36.4.3-20250107174145\n'
    )
    facts = jetson.read_facts(device)
    assert (facts.is_jetson, facts.tegra, facts.l4t, facts.module) == (True, "tegra234", "36.4.3", NANO)
    (device / "proc/device-tree/model").unlink()
    (device / "bin/dpkg-query").unlink()
    assert str(jetson.read_facts(device)).startswith("Jetson (tegra234), ")


def test_why_no_gpu_answers_is_in_cuda_s_words(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_device() -> None:
        raise CudaError("cudaGetDeviceCount failed: no CUDA-capable device is detected (100).")

    monkeypatch.setattr(Cuda, "load", no_device)
    monkeypatch.setattr(jetson, "explanation", lambda _: "ann may not open /dev/nvmap")
    facts = jetson.read_facts(device)
    words = "cudaGetDeviceCount failed: no CUDA-capable device is detected (100)"
    assert facts.gpu_problem == f"{words}. ann may not open /dev/nvmap"
    with pytest.raises(EngineProblem) as error:
        check(facts)
    assert str(error.value) == f"no NVIDIA GPU answers here: {facts.gpu_problem}"
