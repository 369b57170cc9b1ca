"""Several machines, each with its own network and processes, that share a folder: the bytes of one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.tiny_network import write_tiny_network
from pipeline.cli.app import run
from pipeline.data.embedded import EMBEDDED
from tests.conftest import ROOT

pytestmark = pytest.mark.slow
PROCESSES = ("--pid", "--fork", "--kill-child", "--mount-proc")
"""Of unshare: a namespace of processes, all of which end with the first."""
MEANINGLESS = 5
"""The exit code: the weights are random."""
FILES = {"calibrate": "ranges.json", "validate": "accuracy.json"}


SCRIPTS = Path(__file__).parent
WORKER_MEMORY = {"DASK_JOBQUEUE__SLURM__MEMORY": "1GB"}


def bytes_below(out: Path) -> dict[str, bytes]:
    return {
        name: next(out.glob(f"store/products/{stage}/*/{name}")).read_bytes() for stage, name in FILES.items()
    }


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command, up to the folder that it writes to: a network of which validation is three units."""
    folder = tmp_path_factory.mktemp("machines")
    settings = folder / "tiny.build.toml"
    settings.write_text(
        f'model = "{write_tiny_network(folder)}"\ndata = "{EMBEDDED}"\ntarget = "reference"\n'
        "[validation]\nimages = 2500\n[calibration]\nimages = 300\n[latency]\nseconds = 0.1\npeer = false\n"
    )
    return ["validate", "--config", str(settings), "--out"]


@pytest.fixture(scope="module")
def alone(asked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    out = tmp_path_factory.mktemp("alone")
    assert run([*asked, str(out)]) == MEANINGLESS
    return out


def check(command: list[str], shared: Path, alone: Path, **variables: str) -> None:
    """Run a command, and compare what it writes."""
    environment = os.environ | WORKER_MEMORY | variables
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == MEANINGLESS, done.stderr
    assert "units on" in done.stderr
    assert bytes_below(shared) == bytes_below(alone)


def test_machines_of_the_same_name_make_the_bytes_of_one(
    asked: list[str], alone: Path, tmp_path: Path
) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--net", "--mount", *PROCESSES]
    bridge = [*apart, "ip", "link", "add", "name", "b", "type", "bridge"]
    tried = subprocess.run(bridge, capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no networks can be made here: {tried.stderr.strip()}")
    check([*apart, str(SCRIPTS / "machines.sh"), sys.executable, *asked, str(tmp_path)], tmp_path, alone)


@pytest.mark.skipif(not shutil.which("slurmctld"), reason="Slurm is not installed (apt install slurm-wlm)")
@pytest.mark.skipif(os.geteuid() != 0, reason="Slurm's programs need root")
def test_jobs_of_slurm_make_the_bytes_of_one_process(asked: list[str], alone: Path, tmp_path: Path) -> None:
    slurm = ["unshare", *PROCESSES, str(SCRIPTS / "slurm.sh"), str(tmp_path / "slurm")]
    command = [sys.executable, "-m", "pipeline", *asked, str(tmp_path / "out"), "--on", "slurm:jobs=2"]
    home = tmp_path / "home"  # without settings of jobqueue's, which may name a folder for the logs
    home.mkdir()
    check([*slurm, *command], tmp_path / "out", alone, HOME=str(home), XDG_CACHE_HOME=str(home / "cache"))
    assert not list(ROOT.glob("slurm-*.out")), "jobs leave nothing in the folder of the command"
    assert len(list((home / "cache" / "edgec" / "slurm").glob("*.out"))) == 2
