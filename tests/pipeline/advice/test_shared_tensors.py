"""Checkpoints whose tensors share numbers, or have no one shape: saving them as advised is enough."""

from pathlib import Path

import pytest
import torch

from pipeline.errors import CheckpointError
from pipeline.models.weights.content import read_content


def test_views_that_are_saved_once_each_are_read(tmp_path: Path) -> None:
    one = torch.zeros(1 << 18)
    views = {f"layer{i}.weight": one[: (1 << 18) - i] for i in range(300)}
    torch.save(views, tmp_path / "views.pt")
    with pytest.raises(CheckpointError, match="Save each tensor once"):
        read_content(tmp_path / "views.pt")
    torch.save({name: view.clone() for name, view in list(views.items())[:4]}, tmp_path / "once.pt")
    assert len(read_content(tmp_path / "once.pt")) == 4


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_plain_tensors_instead_of_a_nested_one_are_read(tmp_path: Path) -> None:
    parts = {"a": torch.zeros(1), "b": torch.zeros(2)}
    torch.save({"w": torch.nested.nested_tensor(list(parts.values()))}, tmp_path / "nested.pt")
    with pytest.raises(CheckpointError, match="which has no one shape"):
        read_content(tmp_path / "nested.pt")
    torch.save(parts, tmp_path / "plain.pt")
    assert set(read_content(tmp_path / "plain.pt")) == {"a", "b"}
