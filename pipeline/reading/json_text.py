"""JSON that others wrote: how many values it has is bounded before it is parsed."""

import json
from collections.abc import Callable
from typing import Any

from pipeline.reading.reading_limits import JSON_VALUES

MARKS = (",", ":", "[", "{")
"""Each value of a JSON text comes after one of these, or is the only one. Texts may have them too."""


def bounded_json(
    text: str | bytes,
    values: int = JSON_VALUES,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:  # noqa: ANN401 - as json.loads
    """Return what a JSON text holds; `pairs` as json.loads takes it for object_pairs_hook.

    Raises ValueError if it is not JSON, is nested too deeply or has more than so many `values`. A value of
    three bytes takes up to 30 times as much memory.
    """
    check_values(text, values)
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def check_values(text: str | bytes, values: int = JSON_VALUES, marks: tuple[str, ...] = MARKS) -> None:
    """Raise ValueError for a text that has more than so many `values`."""
    found = sum(text.count(mark) if isinstance(text, str) else text.count(mark.encode()) for mark in marks)
    if found > values:
        raise ValueError(f"it has more than {values:,} values")
