"""Trains small networks of the kinds that are hard to quantise, on photos, for the comparison of methods.

    python -m benchmarks.trained_networks FOLDER --data PHOTOS [--only mobilenetv3 ...] [--epochs 40]

Writes FOLDER/NAME.onnx, uint8 pixels to logits with the normalisation inside, and FOLDER/NAME.toml, which
says to edgec what the file does not. `calibration_methods` quantises them. From random weights on a few
thousand photos they learn something, not much: what counts here is that weights, norms and activations are
trained ones.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peers import mobilenets
from pipeline.data.open import open_dataset
from pipeline.data.split import Split
from pipeline.task import Task
from targets.runtime.preprocess import Preprocessing

SIDE = 96
BATCH = 64
RATE = 2e-3
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Normalised(nn.Module):
    """Pixels uint8 [N, H, W, 3] to the logits of `network`."""

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(MEAN))
        self.register_buffer("scale", 1 / (255 * torch.tensor(STD)))

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.network(((image.float() - self.mean) * self.scale).permute(0, 3, 1, 2))
        return logits


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "mobilenetv3": mobilenets.v3_small,
    "mobilenetv2": mobilenets.v2_half,
    "efficientnet": mobilenets.efficient,
}


@dataclass(frozen=True)
class Photos:
    """Images uint8 [N, H, W, 3] and labels int64 [N], in memory."""

    images: Tensor
    labels: Tensor

    @classmethod
    def of(cls, split: Split, side: int) -> "Photos":
        """Read a split, each picture's middle."""
        batches = list(
            split.batches(Preprocessing(side, side, 3, fit="crop", resize=round(side * 8 / 7)), 64)
        )
        images = np.concatenate([batch.images for batch in batches])
        return cls(torch.from_numpy(images), torch.from_numpy(np.concatenate([b.labels for b in batches])))


def train(network: nn.Module, photos: Photos, epochs: int, name: str) -> None:
    """Train `network` on shifted, scaled and mirrored photos. Prints each epoch's mean loss behind `name`."""
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.05)
    network.train()
    side = photos.images.shape[1] * 7 // 8 // 32 * 32
    steps, step = epochs * (len(photos.images) // BATCH), 0
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(photos.images))
        for at in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[at : at + BATCH]
            for group in optimiser.param_groups:
                group["lr"] = RATE * rate_at(step, steps)
            logits = network(_varied(photos.images[chosen], side))
            loss = functional.cross_entropy(logits, photos.labels[chosen], label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, step = total + loss.item(), step + 1
        print(f"{name} epoch {epoch + 1} of {epochs}: loss {total / (len(order) // BATCH):.3f}", flush=True)
    network.eval()


def rate_at(step: int, steps: int) -> float:
    """The share of the largest rate at a step: from a warm-up to 0 along a cosine."""
    return min(1, 20 * (step + 1) / steps) * (1 + math.cos(math.pi * step / steps)) / 2


def _varied(images: Tensor, side: int) -> Tensor:
    """Random crops of a random size, scaled to `side` and half of them mirrored: uint8 NHWC."""
    whole = images.shape[1]
    size = int(torch.randint(whole * 6 // 10, whole + 1, ()))
    top, left = torch.randint(0, whole - size + 1, (2,)).tolist()
    x = images[:, top : top + size, left : left + size].permute(0, 3, 1, 2).float()
    x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
    mirrored = torch.rand(len(x)) < 0.5
    x[mirrored] = x[mirrored].flip(3)
    return x.round().clamp(0, 255).permute(0, 2, 3, 1)


def accuracy(network: nn.Module, photos: Photos) -> float:
    """The share of right answers."""
    with torch.no_grad():
        parts = photos.images.split(BATCH)  # type: ignore[no-untyped-call]
        found = torch.cat([network(part).argmax(1) for part in parts])
    return float((found == photos.labels).float().mean())


def export(
    network: nn.Module, path: Path, side: int, classes: tuple[str, ...], task: Task = Task.CLASSIFY
) -> None:
    """Write the ONNX file and its description."""
    torch.onnx.export(
        network.eval(),
        (torch.zeros((2, side, side, 3), dtype=torch.uint8),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
    )
    described = f'layout = "NHWC"\nlabels = {list(classes)!r}\ntask = "{task}"\n'
    path.with_suffix(".toml").write_text(described)


def main() -> None:
    """Train, say how good each network is on photos it has not seen, and write the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="photos with a column 'coarse' of labels")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--epochs", type=int, default=40)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    dataset = open_dataset(chosen.data, "coarse")
    training = Photos.of(dataset.split("train"), SIDE * 5 // 4)
    unseen = Photos.of(dataset.split("evaluation"), SIDE)
    for name in chosen.only:
        torch.manual_seed(0)
        network = Normalised(NETWORKS[name](len(dataset.classes)))
        train(network, training, chosen.epochs, name)
        print(f"{name}: {100 * accuracy(network, unseen):.2f} % of {len(unseen.labels)} right", flush=True)
        export(network, chosen.folder / f"{name}.onnx", SIDE, dataset.classes)


if __name__ == "__main__":
    main()
