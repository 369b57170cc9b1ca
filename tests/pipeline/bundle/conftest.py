"""The bundle that is installed."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.bundle.changed_bundles import with_few_images

BUNDLE = "resnet20-fashion-reference.edgec"


@pytest.fixture
def whole_bundle(out: Path, tmp_path: Path) -> Path:
    """A bundle as it is built."""
    return Path(shutil.copy(out / BUNDLE, tmp_path))


@pytest.fixture
def bundle(short: Path, tmp_path: Path) -> Path:
    """The same with a self-test of few images, a copy that a test may change."""
    return Path(shutil.copy(short, tmp_path / BUNDLE))


@pytest.fixture(scope="module")
def short(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_few_images(Path(shutil.copy(out / BUNDLE, tmp_path_factory.mktemp("short"))))
