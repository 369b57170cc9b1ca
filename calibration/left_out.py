"""The parts of a recipe that could not be applied to a network or one of its layers, noted in the model."""

from collections.abc import Iterable

import onnx
from onnx import helper

LEFT_OUT = "edgec.left_out"
"""The metadata key; one note a line."""


def left_out(model: onnx.ModelProto) -> tuple[str, ...]:
    """The notes in a float or Q/DQ model, each beginning with the correction's word."""
    found = {p.key: p.value for p in model.metadata_props}.get(LEFT_OUT, "")
    return tuple(found.splitlines())


def with_left_out(properties: dict[str, str], notes: Iterable[str]) -> dict[str, str]:
    """Properties with the notes among them, each once; unchanged if there are none."""
    lines = dict.fromkeys(" ".join(note.split()) for note in notes)
    return properties | ({LEFT_OUT: "\n".join(lines)} if lines else {})


def note_left_out(model: onnx.ModelProto, notes: Iterable[str]) -> None:
    """Write notes into a model, behind those that it has."""
    kept = {p.key: p.value for p in model.metadata_props}
    helper.set_model_props(model, with_left_out(kept, [*left_out(model), *notes]))
