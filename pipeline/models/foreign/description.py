"""Any ONNX file as a model, with a TOML file beside it that describes its input and its classes.

`net.onnx` is described by `net.toml`:

    size = [224, 224]          # height, width; may be left out where the graph says so
    layout = "NCHW"            # or "NHWC"
    mean = [0.485, 0.456, 0.406]   # of pixels divided by 255, where the graph takes float32 and not uint8
    std = [0.229, 0.224, 0.225]
    colors = "BGR"             # where the network's channels are in that order, and mean and std too
    fit = "crop"               # how a picture gets that size: crop, pad, letterbox or stretch
    resize = 256               # crop: the shorter side before the centre is cut out; "auto" if left out
    border = [114]             # pad and letterbox: what is around a picture, gray or RGB; black if left out
    channels = 3               # may be left out, too
    labels = "labels.txt"      # one a line, in the order of the outputs; or a list; or left out
    output = "scores"          # where the graph has several
    task = "segment"           # where the outputs are of pixels; "classify" if left out
    normalisation = "undecided"    # by the doctor, where mean, std and colors are open: nothing is built then

`resize = "auto"` shrinks larger pictures to 256/224 of the size before the centre is cut out, as networks for
ImageNet want it, and leaves alone what fits already: see `Preprocessing`.

Nothing here imports onnx.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from pipeline.cache.digest import InputFile, file_digest, value_digest
from pipeline.config import Section, load_config
from pipeline.errors import CheckpointError, DataError, UsageError
from pipeline.models.model import Model
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import NAMES_BYTES
from pipeline.task import Task
from targets.runtime.preprocess import Preprocessing

if TYPE_CHECKING:
    from pipeline.data.dataset import Dataset
    from pipeline.data.numbered_classes import ClassOrder
    from pipeline.data.tree import FileDigest
    from targets.peers.prepared_input import PreparedNetwork

CHANNELS = (1, 3)
LARGEST_MEAN = 2.0
LARGEST_STD = 10.0
"""Larger ones are of pixels that are not divided by 255."""
AUTO = 0
"""`resize = "auto"`, as `Preprocessing` has it."""


def _resize(value: object) -> object:
    """Return AUTO for "auto", or the number of pixels. Raises ValueError for anything else."""
    if value == "auto":
        return AUTO
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError('it has to be the shorter side in pixels, or "auto"')
    return value


class Description(Section):
    """The TOML file beside a model. Missing values are read from the graph, or have defaults."""

    size: tuple[int, int] | None = None
    channels: Literal[1, 3] | None = None
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    colors: Literal["RGB", "BGR"] = "RGB"
    fit: Literal["crop", "pad", "letterbox", "stretch"] = "crop"
    border: tuple[int, ...] = (0,)
    resize: Annotated[int, BeforeValidator(_resize)] = AUTO
    labels: Path | tuple[str, ...] | None = None
    output: str | None = None
    task: Task = Task.CLASSIFY
    normalisation: Literal["undecided"] | None = None


@dataclass(frozen=True, kw_only=True)
class ForeignModel(Model):
    """A model that is an ONNX file.

    mean and std apply if the graph takes float32. output: the name of the output with the logits; None: the
    only output.
    """

    path: Path
    output: str | None = None

    def fed(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image uint8 [H, W, C] as a batch of one, in the network's channel order and layout."""
        batch = image[None, :, :, ::-1] if self.colors == "BGR" else image[None]
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self.layout == "NCHW" else batch)

    def normalised(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return `fed`, normalised by mean and std: float32."""
        shape = (-1, 1, 1) if self.layout == "NCHW" else (-1,)
        mean, std = (np.array(values, np.float32).reshape(shape) for values in (self.mean, self.std))
        return np.asarray((self.fed(image) / np.float32(255) - mean) / std, np.float32)

    @property
    def if_quantised(self) -> Self | None:
        """Return the model if its file quantises activations. Raises CheckpointError if it cannot be read."""
        from pipeline.models.foreign.quantised.quantised_file import is_quantised_file

        return self if is_quantised_file(self.path) else None

    @property
    def recipe_by_operators(self) -> bool:
        """Return True: a foreign graph may have operators that the target's own recipe does not suit."""
        return True

    def weights_file(self, checkpoint: Path | None, data: Path | None) -> InputFile:  # noqa: ARG002
        """Return the model's own file, and the files that it keeps weights in."""
        from pipeline.models.foreign.external_data import input_onnx

        return input_onnx(self.path)

    def network_as_given(self, weights: Path) -> "PreparedNetwork":
        """Return the model's own file and the input that it takes."""
        from targets.peers.prepared_input import PreparedNetwork

        std, mean = np.array(self.std), np.array(self.mean)
        return PreparedNetwork(weights, self.layout, tuple(1 / (255 * std)), tuple(-mean / std))

    def open_images(
        self,
        location: Path,
        labels: str | None = None,
        class_order: "ClassOrder | None" = None,
        digest: "FileDigest" = file_digest,
    ) -> "Dataset":
        """Open the data set at `location`, its classes in the order of the model's labels, if it has any."""
        from pipeline.data.masks import open_for_segmentation
        from pipeline.data.open import open_dataset
        from pipeline.data.relabel import relabelled

        if self.task is Task.SEGMENT:
            return open_for_segmentation(location, labels, self.named_labels, digest)
        if self.labels is None:
            return super().open_images(location, labels, class_order, digest)
        return relabelled(open_dataset(location, labels, digest), self.labels, self.name)

    @property
    def named_labels(self) -> tuple[str, ...]:
        """Return the labels. Raises UsageError if there are none."""
        if self.labels is None:
            raise UsageError(
                f"{description_file(self.path)} has no labels. Segmentation needs them, in the order of the"
                " outputs, since masks do not show how many classes there are."
            )
        return self.labels

    @property
    def digest(self) -> str:
        """Return the SHA-256 over what decides the arithmetic, apart from the weights, and the file's name.

        Stages write the name into what they tell: a file that was renamed is called by its new name.
        """
        described = [
            *(self.path.name, self.layout, self.preprocessing),
            *(self.mean, self.std, self.task, self.output),
        ]
        return value_digest(described if self.colors == "RGB" else [*described, self.colors])

    def classes_for(self, found: int) -> int:
        """Return `found`. Raises DataError if the model has labels, but another number of them."""
        if self.labels is not None and len(self.labels) != found:
            raise DataError(f"{self.name} has {len(self.labels)} classes; the data set has {found}.")
        return found


def is_foreign(name: str) -> bool:
    """Whether the name of a model is that of an ONNX file."""
    return name.endswith(".onnx")


def description_file(path: Path) -> Path:
    """Return the path of a model's description."""
    return path.with_suffix(".toml")


def labels_file(path: Path) -> Path | None:
    """Return the file of class names that the description of a model names, if it names one."""
    file = description_file(path)
    given = load_config(Description, file if file.is_file() else None, {}).labels
    return path.parent / given if isinstance(given, Path) else None


def read_foreign(path: Path) -> ForeignModel:
    """Read an ONNX file's description, and its input where the description is not complete.

    Raises CheckpointError for a file that cannot be read, UsageError for a description that does not fit it.
    """
    file = description_file(path)
    return described(path, load_config(Description, file if file.is_file() else None, {}))


def undecided(path: Path) -> Description | None:
    """Return the description that the doctor has written for `path` if it leaves the normalisation open."""
    file = description_file(path)
    found = load_config(Description, file, {}) if file.is_file() else Description()
    return found if found.normalisation is not None else None


def described(path: Path, description: Description) -> ForeignModel:
    """Complete a description with the input of the graph at `path`. Raises as `read_foreign` does.

    The file is only read if the description has no size or no channels.
    """
    if description.normalisation is not None:
        raise UsageError(
            f"{description_file(path)} leaves the normalisation of the training open. Keep the mean, std and"
            " colors lines of one of its candidates, without the #, and remove the line normalisation; or let"
            f" labelled images decide: edgec doctor {path} --data FOLDER --write"
        )
    size = description.size
    channels: int | None = description.channels
    if size is None or channels is None:
        found_size, found_channels = _from_the_graph(path, description)
        size, channels = size or found_size, channels or found_channels
    values = tuple(
        _per_channel(path, name, given, channels)
        for name, given in (("mean", description.mean), ("std", description.std))
    )
    if not all(value > 0 for value in values[1]):
        raise UsageError(
            f"{description_file(path)}: std is {list(values[1])}; all values have to be positive."
        )
    if max(map(abs, values[0])) > LARGEST_MEAN or max(values[1]) > LARGEST_STD:
        raise UsageError(
            f"{description_file(path)}: mean {list(values[0])} and std {list(values[1])} are of pixels from 0"
            " to 255; edgec's are of pixels divided by 255. Divide both by 255:"
            f" mean = {_divided(values[0])}, std = {_divided(values[1])}"
        )
    return ForeignModel(
        name=path.stem,
        path=path,
        layout=description.layout,
        preprocessing=_preprocessing(path, description, size, channels),
        mean=values[0],
        std=values[1],
        colors=_colors(path, description.colors, channels),
        labels=_labels(path, description.labels),
        output=description.output,
        task=description.task,
    )


def _from_the_graph(path: Path, description: Description) -> tuple[tuple[int, int], int]:
    """Return height and width, and channels. Raises UsageError if the graph leaves them open."""
    from pipeline.models.foreign.onnx_file import read_input

    found = read_input(path)
    height, width, channels = found.sides(description.layout)
    channels = description.channels or channels
    if channels not in CHANNELS:
        other = "NHWC" if description.layout == "NCHW" else "NCHW"
        raise UsageError(
            f"{path}: its input {found.name!r} is {found}; as {description.layout} that would be"
            f" {'any number of' if channels is None else channels} channels, not 1 or 3. Set"
            f" layout = {other!r} or channels in {description_file(path)};"
            f" `edgec doctor {path}` guesses them."
        )
    height, width = description.size or (height, width)
    if height is None or width is None:
        raise UsageError(
            f"{path}: its input {found.name!r} is {found}, of any size. Set size = [height, width] in"
            f" {description_file(path)}."
        )
    return (height, width), channels


def _divided(values: tuple[float, ...]) -> list[float]:
    return [float(f"{value / 255:.6g}") for value in values]


def _preprocessing(
    path: Path, description: Description, size: tuple[int, int], channels: int
) -> Preprocessing:
    resize = description.resize if description.fit == "crop" else AUTO
    try:
        return Preprocessing(*size, channels, fit=description.fit, resize=resize, border=description.border)
    except ValueError as error:
        raise UsageError(f"{description_file(path)}: {error}.") from error


def _per_channel(path: Path, name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise UsageError(
            f"{description_file(path)}: {name} has {len(values)} values for {channels} channels. Give one, or"
            " one per channel."
        )
    return values * channels if len(values) == 1 else values


def _colors(path: Path, colors: str, channels: int) -> str:
    if colors != "RGB" and channels != 3:
        raise UsageError(f"{description_file(path)}: colors is {colors!r}, but its images are gray.")
    return colors


def _labels(path: Path, given: Path | tuple[str, ...] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, Path):
        try:
            text = read_plain(path.parent / given, NAMES_BYTES).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"The labels {path.parent / given} cannot be read: {error}.") from error
        given = tuple(line.strip() for line in text.splitlines() if line.strip())
    given = tuple(unicodedata.normalize("NFC", name) for name in given)  # as folders are read
    twice = sorted(name for name, count in Counter(given).items() if count > 1)
    if twice:
        raise DataError(f"The labels of {path.name} contain {twice[0]!r} twice.")
    return given
