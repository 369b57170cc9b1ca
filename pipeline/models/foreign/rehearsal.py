"""Tries a graph in a process with limits before it is read, if its shapes do not bound its size."""

from pathlib import Path
from typing import Protocol

import onnx

from pipeline.models.foreign.graph_size import is_bounded
from pipeline.models.foreign.tried_apart import is_apart, tried_apart

TRIALS = "pipeline.models.foreign.trials"
"""By name: it imports what asks for trials."""


class DescribedInput(Protocol):
    """What a foreign model's description says of its input."""

    @property
    def path(self) -> Path:
        """The ONNX file."""
        ...

    @property
    def layout(self) -> str:
        """NCHW or NHWC."""
        ...

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        ...


def rehearse(model: onnx.ModelProto, source: DescribedInput, dynamic_batch: bool, quantised: bool) -> None:
    """Try, apart, to rewrite and run a model that was read from `source`, unless its shapes bound it.

    Raises CheckpointError for a graph that asks for too much.
    """
    height, width, channels = source.input_shape
    sides = (channels, height, width) if source.layout == "NCHW" else (height, width, channels)
    if is_apart() or is_bounded(model, source.path, sides):
        return
    values = height * width * channels
    tried_apart(source.path, values, TRIALS, "rewrite", source, dynamic_batch, quantised)


def rehearse_shapes(model: onnx.ModelProto, path: Path) -> None:
    """Try, apart, to infer the shapes of a model that was read from `path`. Raises as `rehearse` does."""
    if not is_apart() and not is_bounded(model, path):
        tried_apart(path, 1 << 18, TRIALS, "infer", path)
