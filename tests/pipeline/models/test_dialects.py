"""Checkpoints under timm's names get ours; `benchmarks/checkpoint_sources.py` compares with timm itself."""

from pathlib import Path

import torch

from pipeline.models import resnet
from pipeline.models.checkpoint import load_model
from pipeline.models.zoo import find_model

CLASSES = 7


def test_timms_preactivation_networks_are_renamed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours = resnet.build(find_model("preresnet18").architecture, 3, CLASSES).state_dict()
    theirs = {}
    for key, value in ours.items():
        parts = key.split(".")
        if parts[0].startswith("layer"):
            rest = ".".join(parts[2:]).replace("bn", "norm").replace("downsample.0", "downsample.conv")
            theirs[f"stages.{int(parts[0][-1]) - 1}.blocks.{parts[1]}.{rest}"] = value
        elif key == "fc.weight":
            theirs["head.fc.weight"] = value[:, :, None, None]
        else:
            theirs[
                key.replace("conv1.", "stem.conv.").replace("bn1.", "norm.").replace("fc.", "head.fc.")
            ] = value
    torch.save(theirs, tmp_path / "timm.pth")
    loaded = load_model(find_model("preresnet18"), tmp_path / "timm.pth", CLASSES).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in ours.items() if "batches" not in key)
