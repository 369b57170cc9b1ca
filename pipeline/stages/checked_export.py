"""What `Export` and `Adopt` share: model.onnx is written, and compared with the network that it came from."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import Stage
from pipeline.data.split import Split
from pipeline.errors import CheckpointError, DataError
from pipeline.progress import Progress
from pipeline.stages.artifacts import FloatModel
from pipeline.stages.parity import ComparedOutputs, Parity


@dataclass(frozen=True)
class CheckedExport(Stage):
    """Write model.onnx and parity.json: outputs on `check_images` differ by `max_difference` at most."""

    compared_with: ClassVar[str]
    """The reference that outputs are compared with, as messages name it."""

    classes: int
    file: InputFile
    check_images: Split
    dynamic_batch: bool
    max_difference: float

    @abstractmethod
    def write(self, path: Path, say: Callable[[str], None]) -> Iterator[ComparedOutputs]:
        """Write model.onnx to `path`, then yield the outputs of both networks for the same images.

        Raises CheckpointError if the network cannot be written.
        """

    def run(self, output: Path, progress: Progress) -> None:
        """Write and compare.

        Raises CheckpointError if the weights or the graph do not fit or the outputs differ, and DataError if
        the number of classes is not the data set's, or no image can be read.
        """
        with progress.task(self.name, None):
            compared = list(self.write(output / FloatModel.file_name, progress.say))
            parity = Parity.of(compared)
            allowed = max(self.max_difference, *(one.rounding() for one in compared), 0.0)
        parity.save(output)
        progress.say(
            f"{self.name}: largest difference of an output from {self.compared_with}"
            f" {parity.max_difference:.1e} on {parity.images} images (allowed: {allowed:g})"
        )
        if not parity.images:
            raise DataError("None of the evaluation images drawn to check model.onnx can be read.")
        if not parity.max_difference <= allowed:  # NaN is above every limit
            raise CheckpointError(
                f"The ONNX file written for {self.file.path} differs from {self.compared_with} by"
                f" {parity.max_difference:.2e} in an output; allowed is {allowed:g} (export.max_difference)."
                " Extreme weights do this."
            )
