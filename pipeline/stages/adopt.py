"""Any ONNX network -> model.onnx in the form of exported models, checked against the original."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pipeline.errors import CheckpointError, DataError
from pipeline.models.foreign.description import ForeignModel
from pipeline.stages.checked_export import CheckedExport
from pipeline.stages.parity import Compared

if TYPE_CHECKING:
    from pipeline.models.foreign.original import Original

TOGETHER = (1, 2, 5)
"""How many images at once model.onnx is tried with, where it is to take any number."""
HALF_ROUNDING = 2.0**-6
"""How far, as a share of the largest output, a network in half precision may be from the same in float32:
its values have 11 bits, and their rounding adds up over some tens of layers."""


@dataclass(frozen=True)
class Adopt(CheckedExport):
    """Rewrite the ONNX file of a network that edgec does not know, and compare with the file as it is."""

    name: ClassVar[str] = "adopt"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")
    compared_with: ClassVar[str] = "the original"

    model: ForeignModel

    def write(self, path: Path, say: Callable[[str], None]) -> Iterator[Compared]:
        """Rewrite the file, and yield what both give for the same images, in each number of TOGETHER."""
        import onnx

        from pipeline.models.foreign.original import Original
        from pipeline.models.foreign.rewrite import adopt

        made = adopt(self.model, self.dynamic_batch, say)
        onnx.save(made, path)
        self._check_classes(made.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
        yield from self._compared(Original(self.model), path)

    def _check_classes(self, found: int) -> None:
        if found != self.classes:
            other = "its labels name" if self.model.labels else "the data set has"
            raise DataError(
                f"{self.model.path} has {found} classes; {other} {self.classes}. Name its classes, in the"
                f" order of its outputs, under labels in {self.model.path.with_suffix('.toml')}: the data"
                " set may have fewer."
            )

    def _compared(self, original: "Original", path: Path) -> Iterator[Compared]:
        from targets.runtime.reference_runner import open_engine

        together = TOGETHER if self.dynamic_batch else TOGETHER[:1]
        rounded_by = HALF_ROUNDING if original.is_half else 0.0
        with open_engine(path) as runner:
            for batch in self.check_images.readable(self.model.preprocessing, batch_size=TOGETHER[-1]):
                expected = [original.infer(image) for image in batch.images]
                for number in together:
                    with _taking(number, self.model.path):
                        parts = range(0, len(expected), number)
                        logits = np.concatenate([runner.infer(batch.images[i : i + number]) for i in parts])
                    found = [
                        original.ending(one, outputs.size).astype(np.float32)
                        for one, outputs in zip(logits, expected, strict=True)
                    ]
                    rows = np.stack([outputs.ravel() for outputs in expected])
                    yield Compared(rows, np.stack(found), rounded_by)


@contextmanager
def _taking(number: int, path: Path) -> Iterator[None]:
    """Raise CheckpointError where the freed graph runs with one image, but not with several at once."""
    try:
        yield
    except Exception as error:  # onnxruntime's exceptions have no public base class
        if number == 1 or not type(error).__module__.startswith("onnxruntime"):
            raise
        raise CheckpointError(
            f"{path} was exported for a fixed number of images, and cannot take {number} at once"
            f" ({str(error).splitlines()[0]}). Say dynamic_batch = false under [export] in the settings, or"
            " export it with a free batch dimension."
        ) from error
