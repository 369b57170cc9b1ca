import shutil
from pathlib import Path

import pytest


@pytest.fixture
def bundle(out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(out / "resnet20-fashion-reference.edgec", tmp_path))
