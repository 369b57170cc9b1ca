"""Reads a .tflite file: its operators, its tensors and their grids."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError
from pipeline.extras import require
from pipeline.reading.plain_file import is_plain
from pipeline.reading.reading_limits import INPUT_PIXELS, TFLITE_BYTES, TFLITE_PARTS, TFLITE_VALUES

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
        network = _BoundedFile(schema).network(schema.Model.GetRootAs(content))
        shape = network.input.shape
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # the generated reader checks nothing: a damaged offset shows as any of these
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is not a valid .tflite file: {detail}") from error
    except Exception as error:
        if type(error).__module__ != "struct":
            raise
        raise CheckpointError(f"{path} is not a valid .tflite file: it ends too early") from error
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or min(shape) < 1:
        raise CheckpointError(
            f"{path}: its input is {list(shape)}; edgec compares networks that take one picture,"
            " [1, height, width, 1 or 3]."
        )
    if shape[1] * shape[2] > INPUT_PIXELS:
        raise CheckpointError(
            f"{path}: its input is {list(shape)}; a picture has {INPUT_PIXELS} pixels at most."
        )
    return network


@dataclass
class _BoundedFile:
    """Reads what is used of a file, within limits: its offsets may all point at the same long list."""

    schema: Any
    seen: int = field(default=0)

    def network(self, model: Any) -> TfliteNetwork:  # noqa: ANN401 -- generated, untyped
        if model.SubgraphsLength() != 1:
            raise ValueError(f"it has {model.SubgraphsLength()} subgraphs instead of one")
        graph = model.Subgraphs(0)
        source, result = self._numbers(graph, "Inputs"), self._numbers(graph, "Outputs")
        if len(source) != 1 or len(result) != 1:
            raise ValueError(f"it has {len(source)} inputs and {len(result)} outputs, not one each")
        names = {value: name for name, value in vars(self.schema.BuiltinOperator).items() if name[0] != "_"}
        codes = [
            names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            for code in self._parts(model, "OperatorCodes")
        ]
        buffers = self._parts(model, "Buffers")
        tensors = tuple(
            self._tensor(index, one, buffers[one.Buffer()])
            for index, one in enumerate(self._parts(graph, "Tensors"))
        )
        operators = tuple(self._operator(one, codes) for one in self._parts(graph, "Operators"))
        used = [index for one in operators for index in (*one.inputs, *one.outputs)]
        if any(not -1 <= index < len(tensors) for index in used):
            raise ValueError("an operator names a tensor that the file does not have")
        if any(not 0 <= index < len(tensors) for index in (*source, *result)):
            raise ValueError("its input or output is a tensor that the file does not have")
        return TfliteNetwork(tensors, operators, int(source[0]), int(result[0]))

    def _parts(self, owner: Any, name: str) -> list[Any]:  # noqa: ANN401 -- generated, untyped
        count = getattr(owner, f"{name}Length")()
        if count > TFLITE_PARTS:
            raise ValueError(f"it has {count} {name.lower()}, more than {TFLITE_PARTS}")
        return [getattr(owner, name)(index) for index in range(count)]

    def _numbers(self, owner: Any, name: str) -> Array:  # noqa: ANN401 -- generated, untyped
        self._count(getattr(owner, f"{name}Length")())
        found = getattr(owner, f"{name}AsNumpy")()
        return found if isinstance(found, np.ndarray) else np.zeros(0, np.int64)  # 0: it is left out

    def _count(self, values: int) -> None:
        self.seen += values
        if self.seen > TFLITE_VALUES:
            raise ValueError(f"its names and lists have more than {TFLITE_VALUES} values together")

    def _operator(self, stored: Any, codes: list[str]) -> StoredOperator:  # noqa: ANN401 -- generated, untyped
        options = self.schema.BuiltinOptionsCreator(stored.BuiltinOptionsType(), stored.BuiltinOptions())
        given = {} if options is None else vars(options)
        self._count(sum(len(value) for value in given.values() if hasattr(value, "__len__")))
        return StoredOperator(
            codes[stored.OpcodeIndex()],
            tuple(self._numbers(stored, "Inputs").tolist()),
            tuple(self._numbers(stored, "Outputs").tolist()),
            given,
        )

    def _tensor(self, index: int, stored: Any, buffer: Any) -> StoredTensor:  # noqa: ANN401 -- generated, untyped
        if stored.Type() not in _KINDS:
            raise ValueError(f"tensor {index} has a type that is not read here ({stored.Type()})")
        kind = np.dtype(_KINDS[stored.Type()])
        shape = tuple(self._numbers(stored, "Shape").tolist())
        value = None
        if buffer.DataLength():  # what it gives is a view of the file, so that tensors may share it
            value = np.frombuffer(buffer.DataAsNumpy(), kind.newbyteorder("<")).astype(kind, copy=False)
            value = value.reshape(shape)
        name = stored.Name() or b""
        self._count(len(name))
        grid = self._grid(stored.Quantization())
        return StoredTensor(
            index, f"{name.decode(errors='replace') or 'tensor'}:{index}", shape, kind, value, grid
        )

    def _grid(self, stored: Any) -> StoredGrid | None:  # noqa: ANN401 -- generated, untyped
        if stored is None or not stored.ScaleLength():
            return None
        scale, given = self._numbers(stored, "Scale"), self._numbers(stored, "ZeroPoint")
        zero = np.resize(given.astype(np.int64), len(scale)) if len(given) else np.zeros(len(scale), np.int64)
        return StoredGrid(scale.astype(np.float32), zero, int(stored.QuantizedDimension()))
