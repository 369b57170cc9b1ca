"""The device's code against the genuine interfaces of TensorRT 8.6 to 11, each in a process of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.forked_program import ForkedProgram
from tests.targets.tensorrt import scenario_program
from tests.targets.tensorrt.bindings import BINDINGS, unpack, wheel
from tests.targets.tensorrt.candidates_on_device import CANDIDATES
from tests.targets.tensorrt.on_device import SCENARIOS, Scenario
from tests.targets.tensorrt.unpacked_bundle import write_bundle


@pytest.fixture(scope="module", params=BINDINGS)
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if wheel(BINDINGS[request.param]) is None:
        pytest.skip(f"the bindings of TensorRT {request.param} are not here: run scripts/tensorrt_wheels.sh")
    return unpack(request.param, tmp_path_factory.mktemp(f"{request.param}-"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedProgram]:
    module = scenario_program.__name__
    with ForkedProgram(os.environ, tmp_path_factory.mktemp("scenarios"), module, [module]) as one:
        yield one


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_under_this_version(
    program: ForkedProgram, bindings: Path, scenario: Scenario, tmp_path: Path
) -> None:
    plays(program, bindings, scenario, tmp_path)


@pytest.mark.parametrize("scenario", CANDIDATES)
def test_candidates_compete(
    program: ForkedProgram, bindings: Path, scenario: Scenario, tmp_path: Path
) -> None:
    if not bindings.name.startswith(("8.6", "10.3")):
        return  # one of each kind is enough
    plays(program, bindings, scenario, tmp_path)


def plays(program: ForkedProgram, bindings: Path, scenario: Scenario, tmp_path: Path) -> None:
    done = program.run([str(bindings), scenario.__name__, str(write_bundle(tmp_path))], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
