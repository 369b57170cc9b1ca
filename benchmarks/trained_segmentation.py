"""Trains a small U-Net to find what is drawn on photos, for the comparison of methods.

    python -m benchmarks.trained_segmentation FOLDER --data PHOTOS [--epochs 8]

Writes FOLDER/unet.onnx, uint8 pixels to the logits of each pixel, FOLDER/unet.toml, which says to edgec what
the file does not, and FOLDER/scenes, a data set of pictures and masks. `calibration_methods` quantises the
network with some of its calibration pictures and compares the pixels of its test pictures.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.drawn_scenes import CLASSES, Scenes
from benchmarks.peers.unet import PeerUNet
from benchmarks.trained_networks import SIDE, Normalised, Photos, export, rate_at
from pipeline.data.open import open_dataset
from pipeline.task import Task

WIDTHS = (12, 24, 48, 96)
BATCH = 16
RATE = 3e-3
TRAINING, CALIBRATION, TEST = 1200, 512, 300
"""Numbers of pictures."""


def train(network: nn.Module, scenes: Scenes, epochs: int) -> None:
    """Train `network` on scenes, half of the batches mirrored. Prints each epoch's mean loss."""
    torch.manual_seed(0)
    images, masks = torch.from_numpy(scenes.images), torch.from_numpy(scenes.masks).long()
    optimiser = torch.optim.AdamW(network.parameters(), RATE)
    network.train()
    batches = len(images) // BATCH
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(images))
        for number in range(batches):
            chosen = order[number * BATCH : (number + 1) * BATCH]
            for group in optimiser.param_groups:
                group["lr"] = RATE * rate_at(epoch * batches + number, epochs * batches)
            x, y = images[chosen], masks[chosen]
            if torch.rand(()) < 0.5:
                x, y = x.flip(2), y.flip(2)
            loss = functional.cross_entropy(network(x), y)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item()
        print(f"unet epoch {epoch + 1} of {epochs}: loss {total / batches:.3f}", flush=True)
    network.eval()


def share_right(network: nn.Module, scenes: Scenes) -> float:
    """The share of pixels that get the right class."""
    with torch.no_grad():
        parts = torch.from_numpy(scenes.images).split(BATCH)  # type: ignore[no-untyped-call]
        found = np.concatenate([network(part).argmax(1).numpy() for part in parts])
    return float((found == scenes.masks).mean())


def main() -> None:
    """Draw, train, say how many pixels of unseen pictures are right, and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="photos with a column 'coarse' of labels")
    parser.add_argument("--epochs", type=int, default=8)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(chosen.data, "coarse")
    seen, unseen = (
        Photos.of(dataset.split(role), SIDE * 5 // 4).images.numpy() for role in ("train", "evaluation")
    )
    drawn = Scenes.on(seen, SIDE, TRAINING + CALIBRATION, seed=0)
    test = Scenes.on(unseen, SIDE, TEST, seed=1)
    drawn[TRAINING:].write(chosen.folder / "scenes" / "calibration")
    test.write(chosen.folder / "scenes" / "test")
    network = Normalised(PeerUNet(len(CLASSES), WIDTHS))
    train(network, drawn[:TRAINING], chosen.epochs)
    print(f"unet: {100 * share_right(network, test):.2f} % of the pixels right", flush=True)
    print(f"      {100 * float((test.masks == 0).mean()):.2f} % are of the photos", flush=True)
    export(network, chosen.folder / "unet.onnx", SIDE, CLASSES, Task.SEGMENT)


if __name__ == "__main__":
    main()
