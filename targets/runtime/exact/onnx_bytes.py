"""Just enough of ONNX's file format to write a small graph where the package `onnx` is not installed.

The numbers are those of onnx.proto3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

import numpy as np

from .onnx_wire import bytes_field, number_field

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
    dims = b"".join(number_field(1, side) for side in value.shape)
    raw = np.ascontiguousarray(value).tobytes()
    return dims + number_field(2, ELEMENTS[value.dtype.name]) + _text(8, name) + bytes_field(9, raw)


def node(operator: str, inputs: Sequence[str], output: str, **attributes: Attribute) -> bytes:
    """Return a NodeProto: input, output, op_type, attribute."""
    read = b"".join(_text(1, name) for name in inputs)
    given = b"".join(bytes_field(5, _attribute(name, value)) for name, value in attributes.items())
    return read + _text(2, output) + _text(3, output) + _text(4, operator) + given


def value(name: str, element: str, shape: Sequence[int]) -> bytes:
    """Return a ValueInfoProto: name, type."""
    sides = b"".join(bytes_field(1, number_field(1, side)) for side in shape)
    kind = number_field(1, ELEMENTS[element]) + bytes_field(2, sides)
    return _text(1, name) + bytes_field(2, bytes_field(1, kind))


def model(
    nodes: Sequence[bytes], tensors: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """Return a ModelProto of opset 17: ir_version, graph, opset_import."""
    parts = ((1, nodes), (5, tensors), (11, inputs), (12, outputs))
    graph = b"".join(bytes_field(field, part) for field, some in parts for part in some) + _text(2, "graph")
    return number_field(1, 8) + bytes_field(7, graph) + bytes_field(8, _text(1, "") + number_field(2, 17))


def _attribute(name: str, given: Attribute) -> bytes:
    if isinstance(given, int):
        return _text(1, name) + number_field(3, given) + number_field(20, _INT)
    return _text(1, name) + b"".join(number_field(8, one) for one in given) + number_field(20, _INTS)


def _text(number: int, given: str) -> bytes:
    return bytes_field(number, given.encode())
