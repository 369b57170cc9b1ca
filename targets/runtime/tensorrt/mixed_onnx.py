"""Writes a Q/DQ network again with some of its convolutions in float, on a device without the onnx package.

Such a convolution reads its input before the rounding, and weights with the values that the INT8 ones stand
for. So it is no worse than the network that was validated, whatever tool quantised that. The identity that is
added to it is read before its rounding too, since Conv, Add and ReLU are one kernel.

Source: onnx.proto3 of ONNX (field numbers and types).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Collection, Sequence

import numpy as np

from ..exact.onnx_wire import bytes_field, number_field, read_fields
from .engine import EngineProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

GRAPH, NODE, INITIALIZER = 7, 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE = 1, 2, 3, 4
DIMS, DATA_TYPE, TENSOR_NAME, RAW_DATA = 1, 2, 8, 9
TYPES: dict[int, Any] = {1: np.float32, 3: np.int8, 10: np.float16}
"""TensorProto.DataType of what quantised convolutions hold."""
OUTPUT = 12
DATA, WEIGHT = 0, 1
"""Inputs of Conv."""


@dataclass(frozen=True)
class OnnxNode:
    """A node, and where it stands in the file."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: memoryview


class QdqFile:
    """A Q/DQ network: its nodes and constants. Raises EngineProblem for a file that is none."""

    def __init__(self, model: bytes) -> None:
        self._model = memoryview(model)
        try:
            self._graph = next(field.data for field in read_fields(self._model) if field.number == GRAPH)
            fields = list(read_fields(self._graph))
            self.nodes = [_node(field.data) for field in fields if field.number == NODE]
            self._constants = {
                _text(field.data, TENSOR_NAME): field.data for field in fields if field.number == INITIALIZER
            }
            self._results = {_text(field.data, 1) for field in fields if field.number == OUTPUT}
        except (StopIteration, ValueError, LookupError) as error:
            raise EngineProblem("this is not an ONNX file") from error
        self._made_by = {name: node for node in self.nodes for name in node.outputs}

    def quantised_convolutions(self) -> list[str]:
        """Return the names of the convolutions whose input and weights are 8-bit."""
        return [
            node.name
            for node in self.nodes
            if node.kind == "Conv" and self._is_rounded(node.inputs[DATA]) and self._weights(node) is not None
        ]

    def is_constant(self, tensor: str) -> bool:
        """Return whether the file has its values."""
        return tensor in self._constants

    def constant_weights(self) -> Iterator[NDArray[Any]]:
        """Yield the weights [K, C, ...] of each convolution, INT8 or float, that has them as a constant."""
        for node in self.nodes:
            if node.kind == "Conv":
                undone = self._weights(node)
                name = node.inputs[WEIGHT] if undone is None else undone.inputs[0]
                if name in self._constants:
                    yield _array(self._constants[name])

    def in_float(self, names: Collection[str]) -> bytes:
        """Return the file with these convolutions in float."""
        changed = {node.name: self._float_inputs(node) for node in self.nodes if node.name in names}
        for node in self.nodes:
            if node.kind == "Add" and any(self._is_in_float(name, names) for name in node.inputs):
                changed[node.name] = tuple(self.unrounded(name) for name in node.inputs)
        return self._rewritten(changed, [node for node in self.nodes if node.name in names])

    def unquantised(self) -> bytes:
        """Return the file without Q and DQ, and with weights of the values that INT8 gave them."""
        convolutions = [
            node for node in self.nodes if node.kind == "Conv" and self._weights(node) is not None
        ]
        changed = {node.name: tuple(map(self.unrounded, node.inputs)) for node in self.nodes}
        changed.update((node.name, self._float_inputs(node)) for node in convolutions)
        return self._rewritten(changed, convolutions)

    def scales(self) -> dict[str, float]:
        """Return the scale of each tensor that is rounded, by the name that it has before."""
        rounding = (node for node in self.nodes if node.kind == "QuantizeLinear")
        return {node.inputs[0]: float(_array(self._constants[node.inputs[1]])) for node in rounding}

    def _rewritten(self, changed: dict[str, tuple[str, ...]], in_float: Sequence[OnnxNode]) -> bytes:
        """Return the file with the inputs of nodes `changed`, and float weights for some convolutions."""
        constants = [self._float_weights(node) for node in in_float]
        kept = self._still_read(changed)
        graph = bytearray()
        position = 0
        for field in read_fields(self._graph):
            if field.number == NODE:
                node = self.nodes[position]
                position += 1
                if node.outputs[0] in kept:
                    graph += bytes_field(NODE, _with_inputs(node, changed.get(node.name, node.inputs)))
            elif field.number != INITIALIZER or _text(field.data, TENSOR_NAME) in kept:
                graph += field.whole
        for constant in constants:
            graph += bytes_field(INITIALIZER, constant)
        return b"".join(
            bytes_field(GRAPH, bytes(graph)) if field.number == GRAPH else bytes(field.whole)
            for field in read_fields(self._model)
        )

    def _float_inputs(self, conv: OnnxNode) -> tuple[str, ...]:
        return (self.unrounded(conv.inputs[DATA]), f"{conv.inputs[WEIGHT]}/float", *conv.inputs[2:])

    def _still_read(self, changed: dict[str, tuple[str, ...]]) -> set[str]:
        """Return the tensors that the results depend on, after the inputs of nodes were `changed`."""
        found: set[str] = set()
        names = list(self._results)
        while names:
            name = names.pop()
            if name in found:
                continue
            found.add(name)
            node = self._made_by.get(name)
            if node is not None:
                names += [*changed.get(node.name, node.inputs), *node.outputs]
        return found

    def _is_in_float(self, tensor: str, names: Collection[str]) -> bool:
        node = self._made_by.get(tensor)
        return node is not None and node.kind == "Conv" and node.name in names

    def _is_rounded(self, tensor: str) -> bool:
        return self.unrounded(tensor) != tensor

    def unrounded(self, tensor: str) -> str:
        """Return what a DequantizeLinear's QuantizeLinear reads, where `tensor` is from such a pair."""
        undone = self._made_by.get(tensor)
        if undone is None or undone.kind != "DequantizeLinear":
            return tensor
        rounding = self._made_by.get(undone.inputs[0])
        if rounding is None or rounding.kind != "QuantizeLinear":
            return tensor
        return rounding.inputs[0] if self._same_type(rounding, undone) else tensor

    def _same_type(self, rounding: OnnxNode, undone: OnnxNode) -> bool:
        """Whether Q reads the type that DQ gives; the first Q of a network in FP16 reads FP32."""
        types = [
            _number(self._constants[node.inputs[1]], DATA_TYPE)
            for node in (rounding, undone)
            if node.inputs[1] in self._constants
        ]
        return len(types) == 2 and types[0] == types[1]

    def _weights(self, conv: OnnxNode) -> OnnxNode | None:
        """Return the DequantizeLinear of a convolution's constant weights."""
        undone = self._made_by.get(conv.inputs[WEIGHT])
        is_constant = undone is not None and all(name in self._constants for name in undone.inputs)
        return undone if is_constant and undone and undone.kind == "DequantizeLinear" else None

    def _float_weights(self, conv: OnnxNode) -> bytes:
        """Return the constant that a convolution's INT8 weights [K, ...] stand for, in its scale's type."""
        undone = self._weights(conv)
        if undone is None:
            raise EngineProblem(f"{conv.name} has no INT8 weights to put back")
        values, scale, *zero = (_array(self._constants[name]) for name in undone.inputs)
        shape = (-1, *[1] * (values.ndim - 1)) if scale.size > 1 else ()
        whole = values.astype(np.float32)
        if zero:
            whole -= zero[0].astype(np.float32).reshape(shape)
        weights = whole * scale.astype(np.float32).reshape(shape)
        return _tensor(f"{conv.inputs[WEIGHT]}/float", weights.astype(scale.dtype))


def _node(message: memoryview) -> OnnxNode:
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_NAME: [""], NODE_TYPE: [""]}
    for field in read_fields(message):
        if field.number in texts:
            texts[field.number].append(bytes(field.data).decode())
    return OnnxNode(
        name=texts[NODE_NAME][-1],
        kind=texts[NODE_TYPE][-1],
        inputs=tuple(texts[NODE_INPUT]),
        outputs=tuple(texts[NODE_OUTPUT]),
        message=message,
    )


def _with_inputs(node: OnnxNode, inputs: tuple[str, ...]) -> bytes:
    if inputs == node.inputs:
        return bytes(node.message)
    others = (bytes(field.whole) for field in read_fields(node.message) if field.number != NODE_INPUT)
    return b"".join([*(bytes_field(NODE_INPUT, name.encode()) for name in inputs), *others])


def _text(message: memoryview, number: int) -> str:
    return next(bytes(f.data).decode() for f in read_fields(message) if f.number == number)


def _number(message: memoryview, number: int) -> int:
    return next(f.value for f in read_fields(message) if f.number == number)


def _array(message: memoryview) -> NDArray[Any]:
    """Return a tensor whose values are raw bytes. `dims` may be packed, or one field each."""
    dims: list[int] = []
    raw, kind = memoryview(b""), 0
    for field in read_fields(message):
        if field.number == DIMS:
            dims += _packed(field.data) if len(field.data) else [field.value]
        elif field.number == DATA_TYPE:
            kind = field.value
        elif field.number == RAW_DATA:
            raw = field.data
    if kind not in TYPES or not len(raw):
        raise EngineProblem("a convolution's constants are of another kind than quantisation writes")
    return np.frombuffer(raw, np.dtype(TYPES[kind]).newbyteorder("<")).reshape(dims)


def _packed(data: memoryview) -> list[int]:
    found, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value = shift = 0
    return found


def _tensor(name: str, values: NDArray[Any]) -> bytes:
    kind = next(number for number, dtype in TYPES.items() if values.dtype == dtype)
    dims = b"".join(number_field(DIMS, size) for size in values.shape)
    described = dims + number_field(DATA_TYPE, kind) + bytes_field(TENSOR_NAME, name.encode())
    return described + bytes_field(RAW_DATA, np.ascontiguousarray(values).tobytes())
