"""Reads a .tflite file: its operators, its tensors and their grids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.extras import require
from pipeline.plain_file import is_plain
from pipeline.reading_limits import TFLITE_BYTES

Array = NDArray[Any]
_IDENTIFIER = b"TFL3"
_KINDS: dict[int, type[np.generic]] = {
    0: np.float32,
    1: np.float16,
    2: np.int32,
    3: np.uint8,
    4: np.int64,
    6: np.bool_,
    7: np.int16,
    9: np.int8,
}
"""TensorType of the schema, tensorflow/compiler/mlir/lite/schema/schema.fbs."""


@dataclass(frozen=True)
class StoredGrid:
    """real = scale * (integer - zero), one pair or one for each index of `axis`."""

    scale: NDArray[np.float32]
    zero: NDArray[np.int64]
    axis: int


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of the file, channels last. `value` is None where it is computed."""

    index: int
    name: str
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    value: Array | None
    grid: StoredGrid | None


@dataclass(frozen=True)
class StoredOperator:
    """An operator by its name in the schema, with indices of tensors; -1 is an input that is left out."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TfliteNetwork:
    """The first subgraph of a file, which has one input and one output."""

    tensors: tuple[StoredTensor, ...]
    operators: tuple[StoredOperator, ...]
    source: int
    result: int

    @property
    def input(self) -> StoredTensor:
        """Return the tensor that takes pictures [1, H, W, C]."""
        return self.tensors[self.source]

    @property
    def output(self) -> StoredTensor:
        """Return the tensor with the logits."""
        return self.tensors[self.result]


def read_tflite(path: Path) -> TfliteNetwork:
    """Read a file. Raises CheckpointError for a damaged one, and for other inputs than one picture."""
    require("ai_edge_litert", "it reads and runs .tflite files")
    from ai_edge_litert import schema_py_generated as schema

    if not is_plain(path) or path.stat().st_size > TFLITE_BYTES:
        raise CheckpointError(f"{path} is not a .tflite file of at most {TFLITE_BYTES >> 30} GiB.")
    with path.open("rb") as file:
        if file.read(8)[4:] != _IDENTIFIER:
            raise CheckpointError(f"{path} is not a .tflite file: it does not say {_IDENTIFIER.decode()}.")
    content = path.read_bytes()
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        network = _network(model, {v: k for k, v in vars(schema.BuiltinOperator).items() if k[0] != "_"})
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # the generated reader checks nothing: a damaged offset shows as any of these
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a valid .tflite file: {detail}") from error
    except Exception as error:
        if type(error).__module__ != "struct":
            raise
        raise CheckpointError(f"{path} is not a valid .tflite file: it ends too early") from error
    shape = network.input.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3):
        raise CheckpointError(
            f"{path}: its input is {list(shape)}; edgec compares networks that take one picture,"
            " [1, height, width, 1 or 3]."
        )
    return network


def _network(model: Any, names: Mapping[int, str]) -> TfliteNetwork:  # noqa: ANN401 -- generated, untyped
    if len(model.subgraphs) != 1:
        raise ValueError(f"it has {len(model.subgraphs)} subgraphs instead of one")
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ValueError(f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, not one each")
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    tensors = tuple(_tensor(i, one, model.buffers[one.buffer].data) for i, one in enumerate(graph.tensors))
    operators = tuple(
        StoredOperator(
            codes[op.opcodeIndex],
            tuple(int(i) for i in op.inputs),
            tuple(int(i) for i in op.outputs),
            {} if op.builtinOptions is None else vars(op.builtinOptions),
        )
        for op in graph.operators
    )
    used = [i for op in operators for i in (*op.inputs, *op.outputs)]
    if any(not -1 <= i < len(tensors) for i in used):
        raise ValueError("an operator names a tensor that the file does not have")
    return TfliteNetwork(tensors, operators, int(graph.inputs[0]), int(graph.outputs[0]))


def _tensor(index: int, stored: Any, data: Any) -> StoredTensor:  # noqa: ANN401 -- generated, untyped
    if stored.type not in _KINDS:
        raise ValueError(f"tensor {index} has a type that is not read here ({stored.type})")
    kind = np.dtype(_KINDS[stored.type])
    shape = tuple(int(side) for side in (stored.shape if stored.shape is not None else ()))
    value = None
    if data is not None and len(data):
        value = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kind.newbyteorder("<")).astype(kind)
        value = value.reshape(shape)
    name = (stored.name or b"").decode(errors="replace")
    return StoredTensor(index, f"{name or 'tensor'}:{index}", shape, kind, value, _grid(stored.quantization))


def _grid(stored: Any) -> StoredGrid | None:  # noqa: ANN401 -- generated, untyped
    if stored is None or stored.scale is None or not len(stored.scale):
        return None
    scale = np.asarray(stored.scale, np.float32)
    given = stored.zeroPoint
    zero = np.zeros(len(scale), np.int64) if given is None or not len(given) else np.asarray(given, np.int64)
    return StoredGrid(scale, np.resize(zero, len(scale)), int(stored.quantizedDimension))
