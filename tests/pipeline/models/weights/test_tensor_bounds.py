"""Tensors that share what is stored are bounded by the file; nested ones are refused by name."""

from pathlib import Path

import pytest
import torch

from pipeline.errors import CheckpointError
from pipeline.models.weights.content import read_content


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "weights.pt")
    return folder / "weights.pt"


def test_two_thousand_views_of_one_tensor_are_refused(tmp_path: Path) -> None:
    one = torch.zeros(1 << 20)
    views = {f"layer{i}.weight": one[: (1 << 20) - i] for i in range(2000)}
    with pytest.raises(CheckpointError, match="Save each tensor once"):
        read_content(saved(tmp_path, views))


def test_tied_weights_are_read(tmp_path: Path) -> None:
    one = torch.zeros(1 << 20)
    found = read_content(
        saved(tmp_path, {"model": {"head.weight": one, "stem.weight": one}, "ema": {"a": one}})
    )
    assert set(found) == {"model", "ema"}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_refused_by_name(tmp_path: Path) -> None:
    nested = torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)])
    with pytest.raises(CheckpointError, match=r"nested tensor, model\.w,"):
        read_content(saved(tmp_path, {"model": {"w": nested}}))
