"""The device's code against the genuine interfaces of TensorRT 8.6 to 11, each in a process of its own."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from targets.runtime.bundle.manifest import NAME, Manifest
from tests.conftest import ROOT
from tests.targets.tensorrt.bindings import BINDINGS, unpack, wheel
from tests.targets.tensorrt.candidates_on_device import CANDIDATES
from tests.targets.tensorrt.device_double import CLASSES, SHAPE, logits_of
from tests.targets.tensorrt.on_device import SCENARIOS, Scenario, pictures


@pytest.fixture(scope="module", params=BINDINGS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if wheel(BINDINGS[request.param]) is None:
        pytest.skip(f"the bindings of TensorRT {request.param} are not here: run scripts/tensorrt_wheels.sh")
    return unpack(request.param, tmp_path_factory.mktemp(f"{request.param}-"))


def bundle(folder: Path) -> Path:
    """An unpacked bundle with ONNX files that only the double can read."""
    (folder / "engine").mkdir()
    for name in ("int8_qdq.onnx", "int8_qdq_fp16.onnx", "int8_half.onnx", "fp16.onnx"):
        (folder / "engine" / name).write_text(name)
    images = pictures(16)
    logits = logits_of(images)
    np.savez(folder / "evaluation.npz", images=images, labels=logits.argmax(axis=1), int8=logits)
    files = [path for path in folder.rglob("*") if path.is_file()]
    manifest = Manifest(
        model="made-up",
        target="jetson",
        fingerprint="",
        engine="engine/int8_qdq.onnx",
        runner="tensorrt.runner",
        classes=tuple(map(str, range(CLASSES))),
        preprocessing={"height": SHAPE[0], "width": SHAPE[1], "channels": SHAPE[2], "fit": "pad"},
        files={
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        },
        state="not built on device",
    )
    (folder / NAME).write_text(manifest.to_json())
    return folder


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_under_this_version(bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    plays(bindings, scenario, tmp_path)


@pytest.mark.parametrize("scenario", CANDIDATES)
def test_candidates_compete(bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    if not bindings.name.startswith(("8.6", "10.3")):
        return  # one of each kind is enough
    plays(bindings, scenario, tmp_path)


def plays(bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    arguments = [str(bindings), scenario.__name__, str(bundle(tmp_path))]
    command = [sys.executable, "-m", scenario.__module__, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
