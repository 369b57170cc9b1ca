"""A network that tells six colours apart if pictures reach it as it was made for, and such pictures."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.models.input_form import InputForm
from tests.pipeline.data.pictures import write_folder

COLOURS = {
    "blue": (40, 60, 190),
    "gray": (120, 125, 118),
    "green": (50, 160, 70),
    "night": (25, 20, 30),
    "orange": (210, 120, 40),
    "snow": (225, 230, 235),
}
SIDE = 32


class Nearest(nn.Module):
    """Logits are minus the squared distance of the mean colour from each of COLOURS, as the form has it.

    Distances are taken after a norm that remembers the pictures it was made for, as a trained one does.
    """

    def __init__(self, form: InputForm, examples: NDArray[np.uint8], order: list[int]) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3, affine=False)
        with torch.no_grad():
            self.stem.weight.copy_(torch.eye(3)[:, :, None, None])
        seen = normalised(examples, form)
        self.norm.running_mean = seen.mean((0, 2, 3))
        self.norm.running_var = seen.var((0, 2, 3))
        self.eval()
        flat = np.array([[COLOURS[name] for name in COLOURS]], np.uint8)[0][:, None, None]
        with torch.no_grad():
            centres = self.norm(normalised(flat, form))[:, :, 0, 0][order]
        self.head = nn.Linear(3, len(COLOURS))
        with torch.no_grad():
            self.head.weight.copy_(2 * centres)
            self.head.bias.copy_(-(centres**2).sum(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.norm(self.stem(x)).mean((2, 3)))
        return found


def normalised(images: NDArray[np.uint8], form: InputForm) -> torch.Tensor:
    turned = images[..., ::-1] if form.colors == "BGR" else images
    mean, std = (np.array(values, np.float32) for values in (form.mean, form.std))
    return torch.from_numpy(((turned / np.float32(255) - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)


def picture(colour: tuple[int, int, int], seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    shade = rng.normal(0, 12, 3) + rng.normal(0, 25, (SIDE, SIDE, 1)) + rng.normal(0, 8, (SIDE, SIDE, 3))
    return np.clip(np.array(colour) + shade, 0, 255).astype(np.uint8)


def pictures(per_class: int, seed: int = 0) -> dict[str, list[NDArray[np.uint8]]]:
    return {
        name: [picture(colour, 1000 * place + 100_000 * seed + n) for n in range(per_class)]
        for place, (name, colour) in enumerate(COLOURS.items())
    }


def folder(root: Path, test: int = 10, train: int = 3) -> Path:
    files = {}
    for split, count, seed in (("test", test, 0), ("train", train, 1)):
        for name, made in pictures(count, seed).items():
            for n, pixels in enumerate(made):
                files[f"{split}/{name}/{n:03}.png"] = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
    return write_folder(root, files)


def write(path: Path, form: InputForm, order: list[int] | None = None, norms: bool = True) -> Path:
    """Write the network as ONNX; `norms` leaves its norm a node of its own."""
    examples = np.stack([one for made in pictures(10, seed=2).values() for one in made])
    network = Nearest(form, examples, order or list(range(len(COLOURS))))
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, SIDE, SIDE),),
        str(path),
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE if norms else torch.onnx.TrainingMode.EVAL,
        do_constant_folding=not norms,
    )
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert ("BatchNormalization" in kinds) is norms
    return path
