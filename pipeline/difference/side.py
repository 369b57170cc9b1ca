"""One of two forms of a network that are compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.metrics import logits
from calibration.onnx_graph import IMAGE
from pipeline.difference.discrepancy import Discrepancy
from pipeline.models.input_form import InputForm

Array = NDArray[Any]
Pictures = NDArray[np.uint8]
Size = tuple[int, int, int]
"""Height, width and channels of pictures."""
BATCH = 32
SAME_GRAPH_DB = 45.0
"""The least agreement of a program with the graph that it was made from, without other rounding."""


@dataclass(frozen=True)
class Side:
    """A form of a network that takes pictures as pixels."""

    name: str
    logits: Callable[[Pictures], Array]
    """Returns logits [N, classes, ...] for pictures uint8 [N, H, W, C]."""
    graph: onnx.ModelProto | None
    """What it computes, where that can be looked into."""
    size: Size | None
    """None if it was recorded."""
    notes: tuple[str, ...] = ()
    """What the reader of a comparison has to know about it."""
    inspected: Callable[[Pictures], str] | None = None
    """Says in words where its program's own tensors leave what its graph means, on a few pictures."""
    own_db: float = SAME_GRAPH_DB
    """The least that its program agrees with its graph."""
    is_exact: Callable[[Pictures], bool] | None = None
    """Whether its logits have the bits that the integers of its graph define, where they define bits."""
    overflowed: Callable[[Pictures], Discrepancy | None] | None = None
    """Returns where a file in half precision has values that are not finite; its graph here is in float32."""
    recorded: int = 0
    """How many pictures recorded logits are of; 0 for what computes its logits."""
    recorded_of: tuple[str, ...] = ()
    """The names of the pictures of recorded logits, where each picture has a file."""
    ran_on: str = ""
    """What computes its logits, if not this processor."""


@dataclass(frozen=True)
class Unprepared:
    """A form of a network whose normalisation is outside its graph, so that it is not yet a `Side`."""

    name: str
    size: Size
    takes: str
    """Type and shape of its input, in words."""
    opened: Callable[[InputForm], Side]
    scores: Callable[[InputForm, Pictures], Array]
    """Returns logarithms of probabilities [N, classes] for pictures that are prepared in a form."""
    stated: InputForm | None = None
    """The form that its description states."""
    own_forms: tuple[InputForm, ...] = field(default=())
    """Forms that its input suggests, which are tried before the usual ones."""


def takes_pixels(model: onnx.ModelProto) -> bool:
    """Whether a graph takes raw pixels, uint8 [N, H, W, C] called `image`, as all graphs of edgec do."""
    inputs = list(model.graph.input)
    if [one.name for one in inputs] != [IMAGE]:
        return False
    tensor = inputs[0].type.tensor_type
    return bool(tensor.elem_type == onnx.TensorProto.UINT8 and len(tensor.shape.dim) == 4)


def graph_side(model: onnx.ModelProto, name: str, notes: tuple[str, ...] = ()) -> Side:
    """Return a graph that takes pixels as a side."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    size = (dims[1].dim_value, dims[2].dim_value, dims[3].dim_value)
    return Side(name, lambda pictures: graph_logits(model, pictures), model, size, notes)


def bounded_graph(path: Path) -> onnx.ModelProto:
    """Read an untrusted graph, and check that its tensors have usual sizes."""
    from pipeline.models.foreign.onnx_file import read_onnx
    from pipeline.models.foreign.rehearsal import rehearse_shapes

    model = read_onnx(path)
    rehearse_shapes(model, path)
    return model


def graph_logits(model: onnx.ModelProto, pictures: Pictures) -> Array:
    """Return a graph's logits from onnxruntime, operator by operator, without fusion."""
    return logits(model, _batches(pictures), as_written=True)


def _batches(pictures: Pictures) -> Iterator[Pictures]:
    for start in range(0, len(pictures), BATCH):
        yield pictures[start : start + BATCH]
