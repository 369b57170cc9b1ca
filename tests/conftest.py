"""What every test may use."""

import fcntl
import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from tests.forked_program import ForkedProgram
from tests.slow_tests import is_listed, listed

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

# What `make test` says depends on the code alone: every run tries the same examples. New ones are looked
# for with `make test ARGS=--hypothesis-profile=search`; what that finds becomes an @example or a test.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2000, deadline=None)
settings.load_profile("same")

gc.disable()  # what is loaded while tests are collected stays; looking for garbage took a third of the time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what was measured to be slow."""
    slow = listed()
    for item in items:
        if is_listed(item.nodeid, slow):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Exclude all loaded objects from later garbage collections."""
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests wait for devices, browsers and programs."""
    return len(os.sched_getaffinity(0)) + 1


Edgec = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def nobodys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without tuned blocks, named devices and trusted keys.

    What the linker has built of C libraries is shared with other runs.
    """
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZIG_GLOBAL_CACHE_DIR", _linkers_cache())
        patch.setenv("EDGEC_TUNED", str(home / "tuned"))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        yield home


def _linkers_cache() -> str:
    """Return where the linker keeps the C libraries it has built, which takes it half a minute."""
    own = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(Path(own) / "zig")


@pytest.fixture(scope="session")
def forked_edgec(nobodys: Path) -> Iterator[ForkedProgram]:
    """Start the program as its user does, in processes of its own, from a checkout."""
    kept = ("ZIG_GLOBAL_CACHE_DIR", "EDGEC_ISA")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(nobodys),
        "COLUMNS": "100",
        "OMP_NUM_THREADS": "1",  # the tests share the cores already
        **{name: os.environ[name] for name in kept if name in os.environ},
    }
    with ForkedProgram(environment, nobodys) as program:
        yield program


@pytest.fixture(scope="session")
def edgec(forked_edgec: ForkedProgram) -> Edgec:
    """Run the program and wait for its end."""

    def run(
        *arguments: str | Path, cwd: Path = ROOT, killed_after: float | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return forked_edgec.run([*map(str, arguments)], cwd, killed_after)

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


@pytest.fixture(scope="session")
def quick_build(edgec: Edgec, quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one finished build with `quick`, which all workers share: to read and to copy."""

    def build(folder: Path) -> None:
        done = edgec("build", "--config", quick, "--out", folder)
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "quick build", build)


@pytest.fixture
def warm_out(quick_build: Path, tmp_path: Path) -> Path:
    """An output folder of the test's own, whose store has the stages of one finished build."""
    return shutil.copytree(quick_build, tmp_path / "out", copy_function=shutil.copy2)


@pytest.fixture(scope="session")
def types_of_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where mypy keeps what it knows of the packages that ours import, for `tests.forgotten`."""
    return made_once(tmp_path_factory, "types", Path.mkdir)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that the first worker to ask has made, for all of them to read or copy."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    folder = (factory.getbasetemp() if alone else factory.getbasetemp().parent) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            scratch = folder.with_suffix(".unfinished")
            shutil.rmtree(scratch, ignore_errors=True)
            make(scratch)
            scratch.rename(folder)
    return folder


def embedded_build(config: Path, out: Path, recipe: str | None = None) -> Build:
    """Return a build of the embedded model in this process; its products are made when asked for."""
    options = {"out": out, "calibration.recipe": recipe}
    return Build(load_config(BuildConfig, config, options), Silent())
