"""Refuses tensors of a checkpoint that take far more memory than its file, or have no one shape."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pipeline.errors import CheckpointError
from pipeline.reading.reading_limits import WEIGHTS_TIMES

LEAST_BYTES = 16 << 20
"""The size that smaller files count as."""


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


def _tensors(content: object) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor in a nest of dictionaries and lists, each container once."""
    waiting, seen = [("", content)], set()
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, Tensor):
            yield place, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            below = value.items() if isinstance(value, Mapping) else enumerate(value)
            waiting.extend((f"{place}.{key}" if place else str(key), one) for key, one in below)
