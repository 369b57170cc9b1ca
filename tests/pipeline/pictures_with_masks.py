"""A small network for segmentation, and pictures with masks."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.report.overlap import at_size
from tests.pipeline.data.pictures import png
from tests.pipeline.models.foreign.networks import export, make
from tests.pipeline.models.foreign.segmenters import UNetLike

LABELS = ("road", "grass", "wall", "sky")


def picture(seed: int) -> NDArray[np.uint8]:
    """Discs of different brightness."""
    random, found = np.random.default_rng(seed), np.full((40, 48, 3), 30, np.uint8)
    for level in (90, 150, 220):
        centre = int(random.integers(48)), int(random.integers(40))
        cv2.circle(found, centre, int(random.integers(6, 14)), (level, level, level), -1)
    return found


def net(folder: Path) -> Path:
    """A U-Net-like network that says every class somewhere, and its description."""
    network = make(UNetLike)
    seen = torch.from_numpy(np.stack([cv2.resize(picture(n), (32, 32)) for n in range(8)])).permute(
        0, 3, 1, 2
    )
    with torch.no_grad():
        logits = network((seen / 255 - 0.5) / 0.25).transpose(0, 1).flatten(1)
        head = network.head
        assert isinstance(head, torch.nn.Conv2d)
        head.weight /= logits.std(1)[:, None, None, None]
        assert head.bias is not None
        head.bias.copy_((head.bias - logits.mean(1)) / logits.std(1))
    path = export(network, folder / "unet.onnx")
    (folder / "unet.toml").write_text(
        f'task = "segment"\nfit = "stretch"\nmean = [0.5]\nstd = [0.25]\nlabels = {json.dumps(LABELS)}\n'
    )
    return path


def masked(folder: Path, split: str, count: int, truth: NDArray[np.int64] | None = None) -> None:
    """Write pictures with masks: what `truth` [N, 32, 32] says, or thresholds of brightness."""
    for kind in ("images", "masks"):
        (folder / split / kind).mkdir(parents=True)
    for n in range(count):
        image = picture(n + (1000 if split == "train" else 0))
        mask = image[:, :, 0] // 64 if truth is None else at_size(truth[n].astype(np.uint8), image.shape[:2])
        (folder / split / "images" / f"{n:02}.png").write_bytes(png(image))
        cv2.imwrite(str(folder / split / "masks" / f"{n:02}.png"), mask)
