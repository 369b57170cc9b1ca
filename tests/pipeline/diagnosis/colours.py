"""Networks that classify colours of pictures or pixels, and are right only with their own preprocessing."""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.models.input_form import InputForm
from tests.pipeline.data.pictures import png, write_folder

COLOURS = {
    "blue": (40, 60, 190),
    "gray": (120, 125, 118),
    "green": (50, 160, 70),
    "night": (25, 20, 30),
    "orange": (210, 120, 40),
    "snow": (225, 230, 235),
}
TURNED = {"blue": (40, 60, 190), "brick": (190, 60, 40), "lime": (150, 190, 60), "teal": (60, 190, 150)}
"""In pairs that are each other's if red and blue are exchanged: who reads BGR as RGB is always wrong."""
SIDE = 32
Palette = dict[str, tuple[int, int, int]]


class Nearest(nn.Module):
    """Logits are minus the squared distance of a colour from each of the palette's, as the form has it.

    The colour is the mean of a picture, or with `of_pixels` that of each pixel. Distances are taken after a
    norm that remembers the pictures it was made for, as a trained one does.
    """

    def __init__(self, form: InputForm, palette: Palette, order: list[int], of_pixels: bool = False) -> None:
        super().__init__()
        self.of_pixels = of_pixels
        self.stem, self.norm = nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3, affine=False)
        with torch.no_grad():
            self.stem.weight.copy_(torch.eye(3)[:, :, None, None])
        examples = np.stack([one for made in pictures(10, 2, palette).values() for one in made])
        seen = normalised(examples, form)
        self.norm.running_mean = seen.mean((0, 2, 3))
        self.norm.running_var = seen.var((0, 2, 3))
        self.eval()
        flat = np.array([list(palette.values())], np.uint8)[0][:, None, None]
        self.head = nn.Conv2d(3, len(palette), 1)
        with torch.no_grad():
            centres = self.norm(normalised(flat, form))[:, :, 0, 0][order]
            self.head.weight.copy_(2 * centres[:, :, None, None])
            assert self.head.bias is not None
            self.head.bias.copy_(-(centres**2).sum(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        colours = self.norm(self.stem(x))
        if self.of_pixels:
            maps: torch.Tensor = self.head(colours)
            return maps
        found: torch.Tensor = self.head(colours.mean((2, 3), keepdim=True)).flatten(1)
        return found


def normalised(images: NDArray[np.uint8], form: InputForm) -> torch.Tensor:
    turned = images[..., ::-1] if form.colors == "BGR" else images
    mean, std = (np.array(values, np.float32) for values in (form.mean, form.std))
    return torch.from_numpy(((turned / np.float32(255) - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)


def picture(colour: tuple[int, int, int], seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    shade = rng.normal(0, 12, 3) + rng.normal(0, 25, (SIDE, SIDE, 1)) + rng.normal(0, 8, (SIDE, SIDE, 3))
    return np.clip(np.array(colour) + shade, 0, 255).astype(np.uint8)


def pictures(per_class: int, seed: int = 0, palette: Palette = COLOURS) -> dict[str, list[NDArray[np.uint8]]]:
    return {
        name: [picture(colour, 1000 * place + 100_000 * seed + n) for n in range(per_class)]
        for place, (name, colour) in enumerate(palette.items())
    }


def folder(root: Path, test: int = 10, train: int = 3, palette: Palette = COLOURS) -> Path:
    files = {}
    for split, count, seed in (("test", test, 0), ("train", train, 1)):
        for name, made in pictures(count, seed, palette).items():
            for n, pixels in enumerate(made):
                files[f"{split}/{name}/{n:03}.png"] = png(pixels)
    return write_folder(root, files)


def scenes(root: Path, palette: Palette, test: int = 24, train: int = 8) -> Path:
    """Write pictures with an area of every colour, the first the largest, and their masks."""
    files, rng = {}, np.random.default_rng(7)
    for split, count in (("test", test), ("train", train)):
        for n in range(count):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            for k in range(1, len(palette)):
                y, x = rng.integers(0, SIDE // 2, 2)
                mask[y : y + 14, x : x + 14] = k
            colours = np.array(list(palette.values()))[mask] + rng.normal(0, 8, (SIDE, SIDE, 3))
            files[f"{split}/images/{n:03}.png"] = png(np.clip(colours, 0, 255).astype(np.uint8))
            files[f"{split}/masks/{n:03}.png"] = png(mask[:, :, None])
    return write_folder(root, files)


def write(
    path: Path,
    form: InputForm,
    order: list[int] | None = None,
    norms: bool = True,
    palette: Palette = COLOURS,
    of_pixels: bool = False,
) -> Path:
    """Write the network as ONNX; `norms` leaves its norm a node of its own."""
    network = Nearest(form, palette, order or list(range(len(palette))), of_pixels)
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
