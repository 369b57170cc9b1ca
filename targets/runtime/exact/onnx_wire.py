"""Protocol buffers as far as ONNX files need them, where the package `onnx` is not installed.

Source: the protocol buffers encoding; field numbers are those of onnx.proto3.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""


class WireField(NamedTuple):
    """One field of a message."""

    number: int
    data: memoryview
    """What is inside, of the wire types that have bytes."""
    value: int
    """The number, of the wire type that is one."""
    whole: memoryview
    """All of it, as it stands in the message."""


def read_fields(message: memoryview) -> Iterator[WireField]:
    """Yield a message's fields in order. Raises ValueError or IndexError if it is none."""
    position = 0
    while position < len(message):
        start = position
        tag, position = _read_varint(message, position)
        kind, value, length = tag & 7, 0, 0
        if kind == VARINT:
            value, position = _read_varint(message, position)
        elif kind == BYTES:
            length, position = _read_varint(message, position)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(kind)
        end = position + length
        if end > len(message):
            raise ValueError(length)
        yield WireField(tag >> 3, message[position:end], value, message[start:end])
        position = end


def first_field(message: memoryview, number: int) -> memoryview:
    """Return what is inside the first field with this number. Raises LookupError if there is none."""
    for field in read_fields(message):
        if field.number == number:
            return field.data
    raise LookupError(number)


def bytes_field(number: int, data: bytes | memoryview) -> bytes:
    """Return a field that holds bytes, a text or a message."""
    return _varint(number << 3 | BYTES) + _varint(len(data)) + bytes(data)


def number_field(number: int, value: int) -> bytes:
    """Return a field that holds a whole number of at most 64 bits; negative ones are its two's complement."""
    return _varint(number << 3 | VARINT) + _varint(value & (2**64 - 1))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
