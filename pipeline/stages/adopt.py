"""Any ONNX network -> model.onnx in the form that `Export` writes, checked against the original."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.data.imagenet_classes import SOME_OF_IMAGENET, imagenet_classes
from pipeline.errors import CheckpointError, DataError
from pipeline.models.class_list import check_class_order, classes_in_metadata
from pipeline.models.foreign.description import ForeignModel
from pipeline.stages.checked_export import CheckedExport
from pipeline.stages.parity import ComparedOutputs
from targets.runtime.exact.session import is_from_onnxruntime

if TYPE_CHECKING:
    from pipeline.models.foreign.original import Original

BATCH_SIZES = (1, 2, 5)
"""Batch sizes that model.onnx is checked with, if its batch dimension is dynamic."""
MIXED = 0.01
"""How far an image's output may depend on the rest of the batch, as a share of the largest output.

The order of sums changes it by 1e-5; an operator over images changes all of it."""
HALF_ROUNDING = 2.0**-6
"""Allowed difference between a network in half precision and the same in float32, as a share of the largest
output. Half precision has 11 bits, and rounding errors add up over some tens of layers."""


@dataclass(frozen=True)
class Adopt(CheckedExport):
    """Rewrite the ONNX file of a network that edgec does not know, and compare with the original."""

    name: ClassVar[str] = "adopt"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    compared_with: ClassVar[str] = "the original"

    model: ForeignModel

    def write(self, path: Path, say: Callable[[str], None]) -> Iterator[ComparedOutputs]:
        """Rewrite the file, and yield the outputs of both for the same images, in batches of each size."""
        import onnx

        from pipeline.models.foreign.original import Original
        from pipeline.models.foreign.rewrite import adopt

        made = adopt(self.model, self.dynamic_batch, say)
        onnx.save(made, path)
        self._check_classes(made.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
        metadata = onnx.load(self.model.path, load_external_data=False).metadata_props
        check_class_order(
            classes_in_metadata({entry.key: entry.value for entry in metadata}),
            self.check_images.classes,
            self.model.path,
            "Every answer would be another class's. Name them in the order of the outputs, as labels in"
            f" {self.model.path.with_suffix('.toml')}.",
            say,
        )
        yield from self._compared(Original(self.model), path)

    def _check_classes(self, found: int) -> None:
        if found != self.classes:
            other = "its labels name" if self.model.labels else "the data set has"
            raise DataError(
                f"{self.model.path} has {found} classes; {other} {self.classes}. Name its classes, in the"
                f" order of its outputs, under labels in {self.model.path.with_suffix('.toml')}: the data"
                f" set may have fewer.{SOME_OF_IMAGENET if found == len(imagenet_classes()) else ''}"
            )

    def _compared(self, original: "Original", path: Path) -> Iterator[ComparedOutputs]:
        from targets.runtime.reference_runner import open_engine

        sizes = BATCH_SIZES if self.dynamic_batch else BATCH_SIZES[:1]
        rounded_by = HALF_ROUNDING if original.is_half else 0.0
        with open_engine(path) as runner:
            for batch in self.check_images.readable(self.model.preprocessing, batch_size=BATCH_SIZES[-1]):
                expected = [original.infer(image) for image in batch.images]
                if not all(np.isfinite(outputs).all() for outputs in expected):
                    raise CheckpointError(
                        f"{self.model.path} answers with NaN or infinity. Look for them in its weights, and"
                        " for divisions and logarithms that get zeros."
                    )
                alone = None
                for size in sizes:
                    with _batches_of(size, original.images, self.model.path):
                        starts = range(0, len(expected), size)
                        logits = np.concatenate([runner.infer(batch.images[i : i + size]) for i in starts])
                    alone = logits if alone is None else alone
                    if not _same(alone, logits):
                        raise _mixing(size, self.model.path, path)
                    found = [
                        original.ending(one, outputs.size).astype(np.float32)
                        for one, outputs in zip(logits, expected, strict=True)
                    ]
                    rows = np.stack([outputs.ravel() for outputs in expected])
                    yield ComparedOutputs(rows, np.stack(found), rounded_by)


def _same(alone: NDArray[np.float32], together: NDArray[np.float32]) -> bool:
    """Whether images have the same answers alone and with others, up to the order of sums."""
    if alone.shape != together.shape:
        return False
    return bool(np.abs(alone - together).max(initial=0) <= MIXED * np.abs(alone).max(initial=0))


def _mixing(size: int, path: Path, made: Path) -> CheckpointError:
    """Return the error for images whose answers depend on those beside them."""
    import onnx

    from pipeline.models.foreign.across_images import computes_over_images

    if node := computes_over_images(onnx.load(made)):
        return CheckpointError(
            f"{path} computes over the images of a batch, in {node}: their answers depend on each other. Set"
            " dynamic_batch = false under [export] in the configuration, which gives it one image at a time,"
            " or export the network without that."
        )
    return _refused(size, path, "gives other answers for")


def _refused(size: int, path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{path} was made for another number of images at once, and {what} {size}. Set dynamic_batch = false"
        " under [export] in the configuration, or export the network with a dynamic batch dimension."
    )


@contextmanager
def _batches_of(size: int, images: int, path: Path) -> Iterator[None]:
    """Raise CheckpointError if the graph, which was written for `images`, cannot take `size` at once."""
    try:
        yield
    except Exception as error:
        if size == images == 1 or not is_from_onnxruntime(error):
            raise
        reason = str(error).splitlines()[0]
        raise _refused(size, path, f"fails ({reason}) with") from error
