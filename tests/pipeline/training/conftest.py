"""What tests of training share."""

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.pipeline.data.pictures import write_idx_set


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A set of 60 images to train on and 20 to test with."""
    write_idx_set(tmp_path / "data", train=60, t10k=20)
    return tmp_path / "data"


@pytest.fixture(scope="module")
def forked() -> ForkServerContext:
    """New processes that need not import torch again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.pipeline.training.several_processes"])
    return context
