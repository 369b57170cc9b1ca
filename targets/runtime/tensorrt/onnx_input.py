"""The name and shape of an ONNX file's input, on devices that have no onnx package.

Source: onnx.proto3 of ONNX (field numbers), and the protocol buffers encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator

from .engine import EngineProblem

if TYPE_CHECKING:
    from pathlib import Path

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""
GRAPH, INPUT, NAME, DIM, DIM_VALUE = 7, 11, 1, 1, 1
SHAPE_OF_INPUT = (2, 1, 2)
"""ValueInfoProto.type, TypeProto.tensor_type, TypeProto.Tensor.shape."""


@dataclass(frozen=True)
class OnnxInput:
    """A graph's first input; dimensions that are left open are -1."""

    name: str
    shape: tuple[int, ...]

    @classmethod
    def read(cls, onnx: Path) -> OnnxInput:
        """Read a file. Raises EngineProblem if it is not an ONNX file with an input of known shape."""
        try:
            value = _first(_first(memoryview(onnx.read_bytes()), GRAPH), INPUT)
            name = bytes(_first(value, NAME)).decode()
            for number in SHAPE_OF_INPUT:
                value = _first(value, number)
            return cls(name, tuple(_dimension(dim) for number, dim, _ in _fields(value) if number == DIM))
        except (LookupError, ValueError) as error:
            raise EngineProblem(f"{onnx.name} is not an ONNX file with an image for its input") from error


def _dimension(dim: memoryview) -> int:
    found = [value for number, _, value in _fields(dim) if number == DIM_VALUE]
    return found[0] if found else -1


def _first(message: memoryview, wanted: int) -> memoryview:
    for number, data, _ in _fields(message):
        if number == wanted:
            return data
    raise LookupError(wanted)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Yield number, bytes and integer of each field; empty or 0 if the wire type does not have one."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind, value, length = tag & 7, 0, 0
        if kind == VARINT:
            value, position = _varint(message, position)
        elif kind == BYTES:
            length, position = _varint(message, position)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(kind)
        if position + length > len(message):
            raise ValueError(length)
        yield tag >> 3, message[position : position + length], value
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
