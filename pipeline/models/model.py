"""The base class of networks, known or foreign, with the images that they take. Imports no torch or onnx."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.cache.digest import InputFile, file_digest
from pipeline.task import Task
from targets.runtime.preprocess import Preprocessing

if TYPE_CHECKING:  # not needed to list models, so not loaded
    from pipeline.data.dataset import Dataset
    from pipeline.data.numbered_classes import ClassOrder
    from pipeline.data.tree import FileDigest
    from targets.peers.prepared_input import PreparedNetwork


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """What stages need to know about a network.

    mean and std normalise pixels divided by 255, one value a channel. colors is the order of the network's
    own channels, "RGB" or "BGR", and of mean and std; pixels are RGB everywhere else. layout is that of the
    network's ONNX input, NCHW or NHWC. labels are class names in the order of the outputs; None: those of the
    data set, in its order. data is where the images are if the user names none.
    """

    name: str
    preprocessing: Preprocessing
    mean: tuple[float, ...]
    std: tuple[float, ...]
    colors: str = "RGB"
    task: Task = Task.CLASSIFY
    layout: str = "NCHW"
    labels: tuple[str, ...] | None = None
    data: Path | None = None

    @property
    def channels(self) -> int:
        """Return the planes of an input image: 1 (gray) or 3 (RGB)."""
        return self.preprocessing.channels

    @property
    def normalisation(self) -> tuple[object, ...]:
        """Return the normalisation as it enters digests; the default RGB is left out."""
        return (self.mean, self.std) if self.colors == "RGB" else (self.mean, self.std, self.colors)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return the shape of one input image, height x width x channels."""
        return self.preprocessing.height, self.preprocessing.width, self.channels

    @property
    def is_quantised(self) -> bool:
        """Return whether the user's file is in 8 bits already. Raises CheckpointError if unreadable."""
        return self.if_quantised is not None

    @property
    def recipe_by_operators(self) -> bool:
        """Return whether the default recipe depends on the graph's operators; else it is the target's own."""
        return False

    @property
    @abstractmethod
    def if_quantised(self) -> Self | None:
        """Return the model if its file is in 8 bits already, else None. Raises CheckpointError."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 over what decides the arithmetic, apart from the weights."""

    @abstractmethod
    def classes_for(self, found: int) -> int:
        """Return the classes to build for a data set of `found`. Raises DataError if they disagree."""

    @abstractmethod
    def weights_file(self, checkpoint: Path | None, data: Path | None) -> InputFile:
        """Return the file with the weights: `checkpoint`, if the model takes one, or the model's own.

        data is where the user's images are: weights may lie beside them. Raises CheckpointError for a file
        that is missing or cannot be read.
        """

    @abstractmethod
    def network_as_given(self, weights: Path) -> "PreparedNetwork | None":
        """Return the user's own ONNX file and the input that it takes; None if the user has no such file."""

    def open_images(
        self,
        location: Path,
        labels: str | None = None,
        class_order: "ClassOrder | None" = None,
        digest: "FileDigest" = file_digest,
    ) -> "Dataset":
        """Open the data set at `location`, its classes in the order of the model's outputs.

        labels, class_order and digest are those of `open_dataset` and `in_order`. Raises their errors.
        """
        from pipeline.data.numbered_classes import in_order
        from pipeline.data.open import open_dataset

        return in_order(open_dataset(location, labels, digest), class_order)
