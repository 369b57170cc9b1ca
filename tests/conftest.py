"""What every test may use."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# What `make test` says depends on the code alone: every run tries the same examples. New ones are looked
# for with `make test ARGS=--hypothesis-profile=search`; what that finds becomes an @example or a test.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("same")

Edgec = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def edgec() -> Edgec:
    """Run the program as its user does: a process of its own, from a checkout."""

    def run(*arguments: str | Path, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        environment["OMP_NUM_THREADS"] = "1"  # the tests share the cores already
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that builds the embedded model in seconds: few images, short measurements."""
    file = tmp_path_factory.mktemp("config") / "quick.toml"
    file.write_text(
        'target = "reference"\n'
        "[calibration]\nimages = 32\n[validation]\nimages = 300\n[latency]\nseconds = 0.2\n"
    )
    return file


def embedded_build(config: Path, out: Path, recipe: str | None = None) -> Build:
    """Return a build of the embedded model in this process; its products are made when asked for."""
    options = {"out": out, "calibration.recipe": recipe}
    return Build(load_config(BuildConfig, config, options), Silent())
