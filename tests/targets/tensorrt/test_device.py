"""The device's code against the genuine interfaces of TensorRT 8.6 to 11, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.targets.tensorrt.bindings import BINDINGS, unpack, wheel
from tests.targets.tensorrt.candidates_on_device import CANDIDATES
from tests.targets.tensorrt.on_device import SCENARIOS, Scenario
from tests.targets.tensorrt.unpacked_bundle import write_bundle


@pytest.fixture(scope="module", params=BINDINGS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if wheel(BINDINGS[request.param]) is None:
        pytest.skip(f"the bindings of TensorRT {request.param} are not here: run scripts/tensorrt_wheels.sh")
    return unpack(request.param, tmp_path_factory.mktemp(f"{request.param}-"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_under_this_version(bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    plays(bindings, scenario, tmp_path)


@pytest.mark.parametrize("scenario", CANDIDATES)
def test_candidates_compete(bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    if not bindings.name.startswith(("8.6", "10.3")):
        return  # one of each kind is enough
    plays(bindings, scenario, tmp_path)


def plays(bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    arguments = [str(bindings), scenario.__name__, str(write_bundle(tmp_path))]
    command = [sys.executable, "-m", scenario.__module__, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
