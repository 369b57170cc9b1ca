"""What tests of the pipeline share."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.difference.small_pair import Pair, small_pair


@pytest.fixture(scope="session")
def out(quick_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one finished build; each worker has its own copy of what one has built."""
    return shutil.copytree(quick_build, tmp_path_factory.mktemp("build") / "out", copy_function=shutil.copy2)


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A small network in float and quantised."""
    return small_pair(tmp_path_factory.mktemp("pair"), ("w8a8_asym_mse_bc", "w8a8_sym_mse_eq_bc"))
