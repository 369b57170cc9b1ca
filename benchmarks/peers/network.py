"""The network that all engines are given: the same weights, the same calibration images, the same pictures.

Weights are random: they do not change how long an integer engine takes. Batch normalisation has the
statistics of the pictures, and the classifier tells the pictures apart, so that activations are spread and
classes differ as in a trained network.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.random_weights import settle
from calibration.collect import collect
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from pipeline.models.architecture import Architecture
from pipeline.models.zoo import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from torch import Tensor, nn

CALIBRATION, PICTURES = 32, 8


@dataclass(frozen=True)
class PeerCase:
    """A network to compare engines on."""

    name: str
    architecture: Architecture | str
    """A residual network, or the name of a MobileNet or `unet`."""
    side: int
    classes: int
    correlation: float = 0.9
    """The least correlation of an engine's logits with the float network's; another network's is near 0.
    Random weights make MobileNets V1 and V2 lose most of it to quantisation, by any tool: seen were 0.32 to
    0.52, with onnxruntime's unoptimised graph 0.33 and 0.37."""


CASES = {
    case.name: case
    for case in (
        PeerCase("resnet20", Architecture("cifar", 20), 32, 10),
        PeerCase("resnet18", Architecture("imagenet", 18), 224, 1000),
        PeerCase("resnet50", Architecture("imagenet", 50), 224, 1000),
        PeerCase("mobilenetv1", "v1", 224, 1000, 0.25),
        PeerCase("mobilenetv2", "v2", 224, 1000, 0.2),
        PeerCase("mobilenetv3", "v3_small", 224, 1000),
        PeerCase("unet", "unet", 128, 8),
    )
}


def write(case: PeerCase, folder: Path) -> None:
    """Write what engines are built from, and the pictures they are timed on, into `folder`.

    network.onnx and network.pt2 take normalised float images `x` [1, 3, H, W]; model.onnx and its quantised
    form model.int8.onnx take uint8 pixels.
    """
    import torch

    from benchmarks.peers import mobilenets, unet
    from pipeline.models.resnet import FromPixels, build

    torch.manual_seed(0)
    if case.architecture == "unet":
        network: nn.Module = unet.PeerUNet(case.classes)
    elif isinstance(case.architecture, str):
        network = mobilenets.build(case.architecture, case.classes)
    else:
        network = build(case.architecture, 3, case.classes)
    pixels = pictures(CALIBRATION, case.side)
    inputs = normalised(pixels)
    _train(network, torch.from_numpy(inputs))
    with torch.inference_mode():
        logits = network(torch.from_numpy(inputs[:PICTURES])).numpy()
    example = torch.zeros(1, 3, case.side, case.side)
    on_pixels = FromPixels(network, IMAGENET_MEAN, IMAGENET_STD).eval()
    _to_onnx(network, example, "x", folder / "network.onnx")
    _to_onnx(
        on_pixels, torch.zeros(1, case.side, case.side, 3, dtype=torch.uint8), "image", folder / "model.onnx"
    )
    torch.export.save(torch.export.export(network, (example,)), folder / "network.pt2")
    recipe = QuantRecipe.parse("w8a8_asym")
    ranges = collect(folder / "model.onnx", [pixels[i : i + 1] for i in range(CALIBRATION)], recipe)
    quantize(folder / "model.onnx", ranges, recipe, folder / "model.int8.onnx")
    np.save(folder / "calibration.npy", inputs)
    np.save(folder / "pixels.npy", pixels[:PICTURES])
    np.save(folder / "inputs.npy", inputs[:PICTURES])
    np.save(folder / "logits.npy", logits)


def pictures(count: int, side: int) -> NDArray[np.uint8]:
    """Return smooth random pictures [count, side, side, 3]: noise of several sizes, as photographs have."""
    rng = np.random.default_rng(0)
    found = np.zeros((count, side, side, 3))
    for i in range(count):
        for octave in range(2, 6):
            coarse = rng.normal(0, 1 / octave, (2**octave, 2**octave, 3))
            found[i] += cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(found * 60 + 120, 0, 255).astype(np.uint8)


def normalised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the float network sees: [N, 3, H, W]."""
    scaled = (pixels / 255.0 - IMAGENET_MEAN) / IMAGENET_STD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2).astype(np.float32))


def _train(network: "nn.Module", images: "Tensor") -> None:
    """Set the statistics of batch normalisation, and a classifier's first classes to the first pictures."""
    import torch

    settle(network, [images])
    network.eval()
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    if not linear:
        return
    classifier = linear[-1]
    seen: list[Tensor] = []
    with torch.no_grad():
        hook = classifier.register_forward_pre_hook(lambda _, features: seen.append(features[0]))
        network(images)
        hook.remove()
        mean = seen[0].mean(dim=0)
        classifier.weight[:PICTURES] = seen[0][:PICTURES] - mean
        classifier.weight /= classifier.weight.norm(dim=1, keepdim=True)
        classifier.bias[:] = -classifier.weight @ mean


def _to_onnx(network: "nn.Module", example: "Tensor", name: str, path: Path) -> None:
    import torch

    torch.onnx.export(
        network,
        (example,),
        str(path),
        input_names=[name],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )
