"""Finds text in an ONNX file that is not UTF-8, which protobuf hands on as bytes in the place of a string."""

from collections.abc import Iterator
from functools import cache

import onnx
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped] # onnx brings it
from google.protobuf.message import Message  # type: ignore[import-untyped] # onnx brings it


def check_utf8(model: onnx.ModelProto) -> None:
    """Raise ValueError if a name or another text of the model, at any depth, is not UTF-8.

    ONNX's names are C identifiers or UTF-8 (ONNX IR, "Names Within a Graph").
    """
    for field, text in _texts(model):
        if isinstance(text, bytes):
            raise ValueError(
                f"its {field} {text[:40]!r} is not UTF-8, as ONNX's names must be. The file is damaged:"
                " export it again."
            )


def _texts(message: Message) -> Iterator[tuple[str, str | bytes]]:
    """Yield the text of each field with the field's name; fields of bytes, such as weights, are not read."""
    left = [message]
    while left:  # generators inside each other would pass each text through every level above it
        one = left.pop()
        for name, full_name, is_text, is_repeated in _fields(one.DESCRIPTOR):
            if not is_repeated and not one.HasField(name):
                continue
            held = getattr(one, name)
            held = held if is_repeated else [held]
            if is_text:
                yield from ((full_name, text) for text in held)
            else:
                left.extend(held)


@cache
def _fields(kind: Descriptor) -> tuple[tuple[str, str, bool, bool], ...]:
    """Return name, full name, whether it is text and whether it is repeated, of each text and message."""
    return tuple(
        (
            field.name,
            field.full_name.removeprefix("onnx."),
            field.type == field.TYPE_STRING,
            field.is_repeated,
        )
        for field in kind.fields
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE)
    )
