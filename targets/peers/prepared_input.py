"""A network in onnxruntime with default settings, whose input is made from pixels before the clock starts.

A runner of `targets.runtime.measure`: what it opens is a JSON file that `PreparedNetwork.save` wrote.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.runtime.exact.session import LADDER, is_from_onnxruntime, open_session

if TYPE_CHECKING:
    import onnxruntime

ELEMENTS: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(uint16)": np.uint16,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
"""What onnxruntime calls the elements of inputs."""
INT8_CENTRE = 128
"""What is taken from pixels for an input in int8, which has no place for 255."""


def as_element(values: NDArray[np.generic], element: type[np.generic]) -> NDArray[np.generic]:
    """Return normalised values or pixels as the elements of an input."""
    if element is np.int8:
        return (values.astype(np.int16) - INT8_CENTRE).astype(np.int8)
    return values.astype(element, copy=False)


@dataclass(frozen=True)
class PreparedNetwork:
    """An ONNX file, and how its input comes from pixels: value = pixel * scale + offset, each one a channel.

    A graph that takes whole numbers gets the pixels; int8 less 128. layout is NCHW or NHWC.
    """

    file: Path
    layout: str
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def save(self, path: Path) -> Path:
        """Write the JSON file that `open_engine` reads, and return its path."""
        path.write_text(json.dumps({**asdict(self), "file": str(self.file.absolute())}))
        return path

    @classmethod
    def load(cls, path: Path) -> "PreparedNetwork":
        """Read what `save` wrote."""
        fields = json.loads(path.read_text())
        return cls(Path(fields["file"]), fields["layout"], tuple(fields["scale"]), tuple(fields["offset"]))

    def prepared(self, images: NDArray[np.uint8], floats: bool) -> NDArray[np.generic]:
        """Return the network's input for images [N, H, W, C]: the cheapest way with NumPy and OpenCV.

        Channel by channel in float32, each in one piece: about 55 us for 224 x 224 x 3 on a core of a Zen 4,
        where OpenCV's blobFromImageWithParams takes 86.
        """
        if not floats:
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if self.layout == "NCHW" else images
        count, height, width, channels = images.shape
        if self.layout == "NHWC":
            values = images * np.asarray(self.scale, np.float32)
            values += np.asarray(self.offset, np.float32)
            return values
        import cv2  # where it is used: a rebuild that measures nothing does not wait for it

        found = np.empty((count, channels, height, width), np.float32)
        for image, planes in zip(images, found, strict=True):
            for channel, pixels in enumerate(cv2.split(image)):
                planes[channel] = pixels
                planes[channel] *= np.float32(self.scale[channel])
                planes[channel] += np.float32(self.offset[channel])
        return found


class PreparedRunner:
    """An opened network. `prepare` is not timed, `infer` is."""

    def __init__(self, network: PreparedNetwork, session: "onnxruntime.InferenceSession") -> None:
        self._network, self._session = network, session
        (source,) = session.get_inputs()
        self._name = source.name
        self._element = ELEMENTS[source.type]
        self._together = source.shape[0] if isinstance(source.shape[0], int) else None

    def prepare(self, images: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
        """Return the inputs for images [N, H, W, C]: one for all, or one each where the graph has a number.

        A graph with a fixed batch gets copies of each image.
        """
        floats = np.issubdtype(self._element, np.floating)
        values = as_element(self._network.prepared(images, bool(floats)), self._element)
        if self._together is None:
            return [values]
        return [np.repeat(one[None], self._together, axis=0) for one in values]

    def infer(self, inputs: list[NDArray[np.generic]]) -> NDArray[np.float32]:
        """Return the first output for what `prepare` returned, [N, ...]."""
        parts = [self._session.run(None, {self._name: one})[0] for one in inputs]
        if self._together is not None:
            parts = [part[:1] for part in parts]
        found: NDArray[np.float32] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return found


class PreparationRunner:
    """Times what `PreparedRunner` leaves out."""

    def __init__(self, runner: PreparedRunner) -> None:
        self._runner = runner

    def infer(self, images: NDArray[np.uint8]) -> object:
        """Prepare images [N, H, W, C]."""
        return self._runner.prepare(images)


@contextmanager
def open_engine(path: Path, threads: int = 1) -> Iterator[PreparedRunner]:
    """Open a network with onnxruntime's default settings, apart from the number of threads.

    Raises EngineError if onnxruntime refuses the file.
    """
    network = PreparedNetwork.load(path)
    yield PreparedRunner(network, default_session(network.file, threads))


def default_session(file: Path, threads: int) -> "onnxruntime.InferenceSession":
    """Open an ONNX file on the CPU with onnxruntime's default settings, exact or not. Raises EngineError."""
    try:
        return open_session(file, threads, LADDER[0])
    except Exception as error:
        if is_from_onnxruntime(error):
            raise EngineError(f"onnxruntime refuses {file}: {error}") from error
        raise
