"""Checkpoint -> model.onnx: opset 17, pixels in, logits out, checked against torch on real images."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.models.class_list import check_class_order, classes_in_checkpoint
from pipeline.models.opset import OPSET
from pipeline.models.zoo import KnownModel
from pipeline.stages.checked_export import CheckedExport
from pipeline.stages.parity import ComparedOutputs

if TYPE_CHECKING:
    from torch import nn

OTHER_ORDER = (
    "Every answer would be another class's. Write the names, in the order of the outputs, into a file"
    ' classes.txt beside the pictures, and say class_order = "list".'
)


@dataclass(frozen=True)
class Export(CheckedExport):
    """Write a network that edgec knows, with batch normalisation folded into the convolutions."""

    name: ClassVar[str] = "export"
    tools: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnxruntime")
    compared_with: ClassVar[str] = "torch"

    model: KnownModel
    weights: str | None

    def write(self, path: Path, say: Callable[[str], None]) -> Iterator[ComparedOutputs]:
        """Load and export the network, and yield the outputs of both for the same images."""
        from pipeline.models.checkpoint import load_model, settings_of
        from pipeline.models.own_normalisation import check_normalisation, normalisation_in_checkpoint
        from pipeline.models.resnet import take_rgb
        from pipeline.models.zoo import find_model

        network = load_model(self.model, self.file.path, self.classes, self.weights, say)
        settings = settings_of(self.file.path)
        check_class_order(
            classes_in_checkpoint(settings), self.check_images.classes, self.file.path, OTHER_ORDER, say
        )
        check_normalisation(
            normalisation_in_checkpoint(settings),
            (self.model.mean, self.model.std),
            self.file.path,
            find_model(self.model.name).normalisation != self.model.normalisation,
            say,
        )
        if self.model.colors == "BGR":
            take_rgb(network)
        write_onnx(self._on_pixels(network), self.model.input_shape, self.dynamic_batch, path)
        yield from self._compared(network, path)

    def _on_pixels(self, network: "nn.Module") -> "nn.Module":
        from pipeline.models.resnet import FromPixels

        rgb = slice(None, None, -1 if self.model.colors == "BGR" else 1)
        return FromPixels(network, self.model.mean[rgb], self.model.std[rgb]).eval()

    def _compared(self, network: "nn.Module", path: Path) -> Iterator[ComparedOutputs]:
        import torch

        from targets.runtime.reference_runner import open_engine

        on_pixels = self._on_pixels(network)
        with open_engine(path) as runner, torch.inference_mode():
            for batch in self.check_images.readable(self.model.preprocessing, batch_size=8):
                for part in _parts(batch.images, one_by_one=not self.dynamic_batch):
                    yield ComparedOutputs(on_pixels(torch.from_numpy(part)).numpy(), runner.infer(part))


def _parts(images: NDArray[np.uint8], one_by_one: bool) -> list[NDArray[np.uint8]]:
    return [images[i : i + 1] for i in range(len(images))] if one_by_one else [images]


def write_onnx(
    network: "nn.Module", input_shape: tuple[int, int, int], dynamic_batch: bool, path: Path
) -> None:
    """Write the ONNX file. In evaluation mode torch folds each norm into its convolution."""
    import torch

    with _quiet():
        torch.onnx.export(
            network,
            (torch.zeros(1, *input_shape, dtype=torch.uint8),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}} if dynamic_batch else None,
            dynamo=False,  # the dynamo exporter needs opset 18, and writes absolute paths into the file
        )
    _drop_identities(path)


def _drop_identities(path: Path) -> None:
    """Remove Identity nodes: torch writes equal weights once, and copies them with Identity."""
    import onnx

    model = onnx.load(path)
    nodes = model.graph.node
    copied = {node.output[0]: node.input[0] for node in nodes if node.op_type == "Identity"}
    kept = [node for node in nodes if node.op_type != "Identity"]
    for node in kept:
        node.input[:] = [copied.get(name, name) for name in node.input]
    del nodes[:]
    nodes.extend(kept)
    onnx.save(model, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's warnings about the old exporter, and about strided slices that it does not fold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding")
        yield
