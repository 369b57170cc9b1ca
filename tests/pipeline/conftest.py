"""What tests of the pipeline share."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Edgec, made_once


@pytest.fixture(scope="session")
def out(edgec: Edgec, quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one finished build; each worker has its own copy of what one has built."""

    def build(folder: Path) -> None:
        done = edgec("build", "--config", quick, "--out", folder)
        assert done.returncode == 0, done.stderr

    made = made_once(tmp_path_factory, "quick build", build)
    return shutil.copytree(made, tmp_path_factory.mktemp("build") / "out", copy_function=shutil.copy2)


@pytest.fixture
def warm_out(out: Path, tmp_path: Path) -> Path:
    """An output folder of the test's own, whose store has the stages of one finished build."""
    return shutil.copytree(out, tmp_path / "out", copy_function=shutil.copy2)
