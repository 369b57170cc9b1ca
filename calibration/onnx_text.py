"""Finds text in an ONNX file that is not UTF-8, which protobuf hands on as bytes in the place of a string."""

from collections.abc import Iterator

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped] # onnx brings it
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
    for field in message.DESCRIPTOR.fields:
        if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            continue
        held = getattr(message, field.name)
        if not field.is_repeated:
            held = [held] if message.HasField(field.name) else []
        for one in held:
            if field.type == FieldDescriptor.TYPE_STRING:
                yield field.full_name.removeprefix("onnx."), one
            else:
                yield from _texts(one)
