"""The packages that only some commands need, and the extra of edgec that installs each."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from pipeline.errors import PipelineError

EXTRA_OF = {
    "torch": "train",
    "safetensors": "train",
    "h5py": "keras",
    "tensorrt_rtx": "jetson",
    "distributed": "scale",
    "dask": "scale",
    "dask_jobqueue": "scale",
    "ai_edge_litert": "tflite",
}
"""The extra that brings a package, by the name it is imported by."""
ONLY_FOR = {"tensorrt_rtx": "x86_64"}
"""Packages that have wheels for one kind of machine alone."""
NEEDED_FOR = {
    "train": "training, checkpoints and the built-in networks need it; an ONNX network does not",
    "keras": "Keras' checkpoints need it",
    "scale": "workers of several machines come with it",
    "jetson": "checking a graph for Jetson without one needs it",
    "tflite": "TensorFlow Lite files need it",
}


class MissingExtraError(PipelineError):
    """A package is not installed that comes with an extra of edgec."""

    def __init__(self, package: str, needed: str = "") -> None:
        extra = EXTRA_OF[package]
        why = needed or NEEDED_FOR[extra]
        super().__init__(f"{package} is not installed: {why}. Install it: pip install 'edgec[{extra}]'")


def require(package: str, needed: str) -> None:
    """Raise MissingExtraError if a package of an extra is not installed. `needed` says what needs it."""
    if find_spec(package) is None:
        raise MissingExtraError(package, needed)


@contextmanager
def naming_missing_extras() -> Iterator[None]:
    """Raise MissingExtraError in place of ModuleNotFoundError where the package comes with an extra."""
    try:
        yield
    except ModuleNotFoundError as error:  # importlib.metadata raises it too, where a key has a version
        package = str(error.name).partition(".")[0]
        if package not in EXTRA_OF:
            raise
        raise MissingExtraError(package) from error
