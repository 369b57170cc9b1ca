"""A stage opens nothing of the user's but its inputs, whatever the user brings."""

import json
import subprocess
import sys
from typing import Any

import pytest

from pipeline.cache.own_code import ROOT
from tests.pipeline.stages.listened_builds import KINDS


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was opened in a build of each kind."""
    folder = tmp_path_factory.mktemp("heard")
    command = [sys.executable, "-m", "tests.pipeline.stages.listened_builds", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_opens_nothing_but_its_inputs(kind: str, builds: dict[str, Any]) -> None:
    heard = builds[kind]["heard"]
    assert builds[kind]["model"] in {path for _, path, _ in heard}, "the hook hears"
    assert [(stage, path) for stage, path, is_input in heard if not is_input] == []


def test_the_builds_have_the_stages_that_read(builds: dict[str, Any]) -> None:
    ran = {stage for kind in builds.values() for stage in kind["stages"]}
    first = {"export", "adopt", "bring", "calibrate", "quantize", "compile", "peer", "measure", "validate"}
    assert ran >= first | {"attribute", "robustness", "diagnose", "report", "sample", "bundle"}
