"""What tests of the pipeline share."""

from pathlib import Path

import pytest

from tests.conftest import Edgec


@pytest.fixture(scope="session")
def out(edgec: Edgec, quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one finished build."""
    folder = tmp_path_factory.mktemp("build") / "out"
    done = edgec("build", "--config", quick, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder
