"""What tests of training share."""

from pathlib import Path

import pytest

from tests.pipeline.data.pictures import write_idx_set


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set of 60 images to train on and 20 to test with."""
    write_idx_set(tmp_path / "data", train=60, t10k=20)
    return tmp_path / "data"
