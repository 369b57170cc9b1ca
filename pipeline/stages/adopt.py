"""Any ONNX network -> model.onnx in the form of exported models, checked against the original."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.errors import CheckpointError, DataError
from pipeline.models.foreign.description import ForeignModel
from pipeline.progress import Progress
from pipeline.stages.parity import Compared, Parity


@dataclass(frozen=True)
class Adopt(Stage):
    """Write model.onnx and parity.json, as `Export` does for networks that edgec knows."""

    name: ClassVar[str] = "adopt"
    code: ClassVar[tuple[str, ...]] = (
        "pipeline/stages/adopt.py",
        "pipeline/stages/parity.py",
        "pipeline/models/foreign",
        "pipeline/models/model.py",
        "pipeline/models/opset.py",
        "calibration/onnx_graph.py",
        "pipeline/task.py",
        "targets/runtime/preprocess.py",
    )
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
            parity = Parity.of(self._compared(path))
        parity.save(output)
        progress.say(
            f"adopt: largest difference of an output from the original {parity.max_difference:.1e} "
            f"on {parity.images} images (allowed: {self.max_difference:g})"
        )
        if not parity.images:
            raise DataError("None of the evaluation images drawn to check the model can be read.")
        if not parity.max_difference <= self.max_difference:
            raise CheckpointError(
                f"The rewritten model differs from {self.model.path} by {parity.max_difference:.2e} in an"
                f" output; allowed is {self.max_difference:g} (export.max_difference)."
            )

    def _compared(self, path: Path) -> Iterator[Compared]:
        from pipeline.models.foreign.original import Original
        from targets.runtime.reference_runner import open_engine

        original = Original(self.model)
        with open_engine(path) as runner:
            for batch in self.check_images.readable(self.model.preprocessing, batch_size=1):
                expected, found = original.infer(batch.images[0]), runner.infer(batch.images)[0]
                yield expected[None], _ended(found, original.ends_in)[None]


def _ended(logits: NDArray[np.float32], last: str | None) -> NDArray[np.float32]:
    """Do to logits [classes, ...] what the original does last."""
    if last not in ("Softmax", "LogSoftmax"):
        return logits
    shifted = logits - logits.max(0)
    logs: NDArray[np.float32] = shifted - np.log(np.exp(shifted).sum(0))
    return np.exp(logs) if last == "Softmax" else logs
