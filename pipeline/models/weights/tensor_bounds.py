"""Refuses tensors of a checkpoint that take far more memory than its file, or have no one shape."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import CheckpointError
from pipeline.reading.reading_limits import PICKLE_STEPS, WEIGHTS_TIMES

LEAST_BYTES = 16 << 20
"""The size that smaller files count as."""
PLACE = 200
"""Characters of a tensor's place in a message."""


def check_tensors(content: Mapping[object, object], path: Path) -> None:
    """Raise CheckpointError for nested tensors, and for views that are many times what is stored."""
    limit = WEIGHTS_TIMES * max(path.stat().st_size, LEAST_BYTES)
    total = 0
    for name, tensor in _tensors(content):
        if tensor.is_nested:
            raise CheckpointError(
                f"{path} holds a nested tensor, {name}, which has no one shape. Save plain tensors:"
                " torch.save(dict of name and tensor, NEW_PATH)."
            )
        if tensor.is_meta or tensor.layout != torch.strided:
            continue  # refused by name, if it is asked for
        claimed = tensor.numel() * tensor.element_size()
        total += min(claimed, tensor.untyped_storage().nbytes())
        if total > limit:
            raise CheckpointError(
                f"{path} holds views of the same numbers that would take over {limit:,} bytes, far more than"
                " the file has. Save each tensor once: torch.save(model.state_dict(), NEW_PATH)."
            )


def check_places(content: Mapping[object, object], path: Path, depth: int) -> None:
    """Raise CheckpointError for dictionaries that hold each other more often than a file can write out.

    Whoever looks for weights down to that depth comes to each as often as it is held.
    """
    count = 0
    for held in _held(content, depth):
        count += held
        if count > PICKLE_STEPS:
            raise CheckpointError(
                f"{path} has dictionaries that hold each other so often that they have over"
                f" {PICKLE_STEPS:,} values. Save only the tensors: torch.save(model.state_dict(), NEW_PATH)."
            )


def _held(content: object, depth: int) -> Iterator[int]:
    """Yield how many values each container has, each as often as it is held."""
    inside: Iterable[object] = content.values() if isinstance(content, Mapping) else ()
    inside = content if isinstance(content, list | tuple) else inside
    yield len(content) if isinstance(content, Mapping | list | tuple) else 0
    for one in inside:
        if depth and isinstance(one, Mapping | list | tuple):
            yield from _held(one, depth - 1)


def _tensors(content: object) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in a nest of dictionaries and lists, with its place, each container once."""
    waiting, seen = [("", content)], set()
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Tensor):
            yield place, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            below = value.items() if isinstance(value, Mapping) else enumerate(value)
            waiting.extend((_inside(place, key), one) for key, one in below)


def _inside(place: str, key: object) -> str:
    """Return the place of a key in a message; of long ones the last part, as containers repeat theirs."""
    shown = str(key)[:PLACE] if isinstance(key, str | int) else type(key).__name__
    return f"{place}.{shown}"[-PLACE:] if place else shown
