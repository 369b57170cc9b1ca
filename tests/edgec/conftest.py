"""Fixtures of the public face's tests."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def out(quick_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for results, which all these tests share, so that stages run once."""
    return shutil.copytree(quick_build, tmp_path_factory.mktemp("edgec") / "out", copy_function=shutil.copy2)
