"""Just enough of ONNX's file format to write a small graph where the package `onnx` is not installed.

The numbers are those of onnx.proto3. The wire format is that of Protocol Buffers: a key (field number and
kind), then a variable-length integer, or a length and bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Attribute = Union[int, "Sequence[int]"]

ELEMENTS = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
"""TensorProto.DataType by NumPy's name."""
_INT, _INTS = 2, 7
"""AttributeProto.AttributeType."""


def tensor(name: str, value: NDArray[np.generic]) -> bytes:
    """Return a TensorProto: dims, data_type, name, raw_data."""
    dims = b"".join(_number(1, side) for side in value.shape)
    raw = np.ascontiguousarray(value).tobytes()
    return dims + _number(2, ELEMENTS[value.dtype.name]) + _text(8, name) + _bytes(9, raw)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> bytes:
    """Return a NodeProto: input, output, op_type, attribute."""
    read = b"".join(_text(1, name) for name in inputs)
    given = b"".join(_bytes(5, _attribute(name, value)) for name, value in attributes.items())
    return read + _text(2, output) + _text(3, output) + _text(4, operator) + given


def value(name: str, element: str, shape: Sequence[int]) -> bytes:
    """Return a ValueInfoProto: name, type."""
    sides = b"".join(_bytes(1, _number(1, side)) for side in shape)
    kind = _number(1, ELEMENTS[element]) + _bytes(2, sides)
    return _text(1, name) + _bytes(2, _bytes(1, kind))


def model(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """Return a ModelProto of opset 17: ir_version, graph, opset_import."""
    parts = ((1, nodes), (5, tensors), (11, inputs), (12, outputs))
    graph = b"".join(_bytes(field, part) for field, some in parts for part in some) + _text(2, "graph")
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 17))


def _attribute(name: str, given: Attribute) -> bytes:
    if isinstance(given, int):
        return _text(1, name) + _number(3, given) + _number(20, _INT)
    return _text(1, name) + b"".join(_number(8, one) for one in given) + _number(20, _INTS)


def _number(field: int, given: int) -> bytes:
    return _variable(field << 3) + _variable(given & (2**64 - 1))


def _text(field: int, given: str) -> bytes:
    return _bytes(field, given.encode())


def _bytes(field: int, given: bytes) -> bytes:
    return _variable(field << 3 | 2) + _variable(len(given)) + given


def _variable(given: int) -> bytes:
    out = bytearray()
    while given > 0x7F:
        out.append(given & 0x7F | 0x80)
        given >>= 7
    out.append(given)
    return bytes(out)
