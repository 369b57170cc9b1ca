"""The default network on x86 with AVX2 alone: engine and reference agree, on every machine that runs this.

The engine's AVX2 kernels run here by name; onnxruntime runs as it would there in the emulator, since nothing
else limits it. That its own settings can saturate there is seen in tests/calibration/test_no_saturation.py.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.data.embedded import EMBEDDED
from pipeline.data.open import open_dataset
from pipeline.models.zoo import find_model
from targets.reference import ReferenceTarget
from targets.runtime.native_runner import open_engine
from targets.tvm.cpu_target import HostTarget, compile_engine
from tests.conftest import ROOT
from tests.targets.needs import native

IMAGES = 16
THERE = """
import sys
import numpy as np
from targets.runtime.exact.session import exact_settings, open_session
images, settings = np.load(sys.argv[2]), exact_settings(1)
np.savez(sys.argv[3], exact=open_session(sys.argv[1], 1, settings).run(None, {"image": images})[0])
print(settings.words)
"""


def decibels(exact: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.square(exact).sum() / np.square(exact - found).sum()))


def test_the_default_network_gives_the_same_on_engine_and_reference(
    quick_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isa = native("avx2")
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("needs qemu-x86_64 (Debian's qemu-user)")
    built = quick_build / "resnet20-fashion-reference"
    split = open_dataset(EMBEDDED).split("evaluation").stratified(IMAGES)
    (batch,) = split.batches(find_model("resnet20-fashion").preprocessing, IMAGES)
    np.save(tmp_path / "images.npy", batch.images)
    with ReferenceTarget().open(built / "model.onnx") as runner:
        floats = runner.infer(batch.images)
    monkeypatch.setenv("EDGEC_ISA", "avx2")
    assert HostTarget().device().endswith("limited to avx2 by EDGEC_ISA")
    compile_engine(built / "model.int8.onnx", isa, tmp_path / "engine")
    with open_engine(tmp_path / "engine") as engine:
        integers = engine.infer(batch.images)
    files = [built / "model.int8.onnx", tmp_path / "images.npy", tmp_path / "there.npz"]
    command = [emulator, "-cpu", "Haswell", sys.executable, "-c", THERE, *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "all optimisations, session.x64quantprecision=1"
    with np.load(tmp_path / "there.npz") as there:
        exact = there["exact"]
    assert (exact.argmax(1) == integers.argmax(1)).all()
    assert decibels(floats, exact) == pytest.approx(decibels(floats, integers), abs=0.5)
