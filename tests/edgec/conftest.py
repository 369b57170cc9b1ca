"""What the tests of the public face share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for results, which all these tests share, so that stages run once."""
    return tmp_path_factory.mktemp("edgec") / "out"
