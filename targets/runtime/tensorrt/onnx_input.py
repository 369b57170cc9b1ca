"""The name and shape of an ONNX file's input, on devices that have no onnx package.

Source: onnx.proto3 of ONNX (field numbers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..exact.onnx_wire import first_field, read_fields
from .engine import EngineProblem

if TYPE_CHECKING:
    from pathlib import Path

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
            value = first_field(first_field(memoryview(onnx.read_bytes()), GRAPH), INPUT)
            name = bytes(first_field(value, NAME)).decode()
            for number in SHAPE_OF_INPUT:
                value = first_field(value, number)
            return cls(name, tuple(_dimension(one.data) for one in read_fields(value) if one.number == DIM))
        except (LookupError, ValueError) as error:
            raise EngineProblem(f"{onnx.name} is not an ONNX file with an image for its input") from error


def _dimension(dim: memoryview) -> int:
    found = [field.value for field in read_fields(dim) if field.number == DIM_VALUE]
    return found[0] if found else -1
