"""Any ONNX network -> model.onnx in the form of exported models, checked against the original."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.errors import CheckpointError, DataError
from pipeline.models.foreign.description import ForeignModel
from pipeline.progress import Progress
from pipeline.stages.parity import Compared, Parity

if TYPE_CHECKING:
    from pipeline.models.foreign.original import Original

TOGETHER = (1, 2, 5)
"""How many images at once model.onnx is tried with, where it is to take any number."""
HALF_ROUNDING = 2.0**-6
"""How far, as a share of the largest output, a network in half precision may be from the same in float32:
its values have 11 bits, and their rounding adds up over some tens of layers."""


@dataclass(frozen=True)
class Adopt(Stage):
    """Write model.onnx and parity.json, as `Export` does for networks that edgec knows."""

    name: ClassVar[str] = "adopt"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    model: ForeignModel
    classes: int
    file: InputFile
    check_images: Split
    dynamic_batch: bool
    max_difference: float

    def run(self, output: Path, progress: Progress) -> None:
        """Rewrite and compare.

        Raises CheckpointError if the graph does not fit or its logits change, and DataError if it tells other
        classes apart than the data set has, or no image can be read.
        """
        import onnx

        from pipeline.models.foreign.original import Original
        from pipeline.models.foreign.rewrite import adopt

        with progress.task("adopt", None):
            made = adopt(self.model, self.dynamic_batch, progress.say)
            path = output / "model.onnx"
            onnx.save(made, path)
            classes = made.graph.output[0].type.tensor_type.shape.dim[1].dim_value
            if classes != self.classes:
                there = "its labels name" if self.model.labels else "the data set has"
                raise DataError(
                    f"{self.model.path} tells {classes} classes apart, {there} {self.classes}. Name"
                    " its classes, in the order of its outputs, under labels in"
                    f" {self.model.path.with_suffix('.toml')}: the data set may have fewer."
                )
            original = Original(self.model)
            compared = list(self._compared(original, path))
            parity = Parity.of(compared)
            allowed = self._allowed(original, compared)
        parity.save(output)
        progress.say(
            f"adopt: largest difference of an output from the original {parity.max_difference:.1e} "
            f"on {parity.images} images (allowed: {allowed:g})"
        )
        if not parity.images:
            raise DataError("None of the evaluation images drawn to check the model can be read.")
        if not parity.max_difference <= allowed:
            raise CheckpointError(
                f"The rewritten model differs from {self.model.path} by {parity.max_difference:.2e} in an"
                f" output; allowed is {allowed:g} (export.max_difference)."
            )

    def _allowed(self, original: "Original", compared: list[Compared]) -> float:
        """Return the largest difference of an output that passes: half precision rounds more."""
        largest = max((float(np.abs(expected).max()) for expected, _ in compared), default=0.0)
        return max(self.max_difference, HALF_ROUNDING * largest if original.is_half else 0.0)

    def _compared(self, original: "Original", path: Path) -> Iterator[Compared]:
        """Yield what both say of the same images, given to model.onnx in each number of TOGETHER."""
        from targets.runtime.reference_runner import open_engine

        together = TOGETHER if self.dynamic_batch else TOGETHER[:1]
        with open_engine(path) as runner:
            for batch in self.check_images.readable(self.model.preprocessing, batch_size=TOGETHER[-1]):
                expected = [original.infer(image) for image in batch.images]
                for number in together:
                    with _taking(number, self.model.path):
                        parts = range(0, len(expected), number)
                        found = np.concatenate([runner.infer(batch.images[i : i + number]) for i in parts])
                    yield (
                        np.stack([outputs.ravel() for outputs in expected]),
                        np.stack(
                            [
                                original.ending(logits, outputs.size).astype(np.float32)
                                for logits, outputs in zip(found, expected, strict=True)
                            ]
                        ),
                    )


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
