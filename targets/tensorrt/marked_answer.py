"""Reads what a device answers about tensors inside an engine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.reach.answers import checked
from targets.runtime.tensorrt.runner import LOGITS

MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class MarkedTensors:
    """What an engine with marked tensors gives for some images."""

    values: Mapping[str, NDArray[np.float32]]
    """[N, ...] of each tensor that TensorRT's network has under its name, in the order of computation."""
    logits: NDArray[np.float32]
    """[N, ...], by the engine with marks."""
    not_found: tuple[str, ...]
    """Tensors that TensorRT's network has no output for."""


def read_marked(answer: Mapping[str, Any], file: Path, asked: Sequence[str], images: int) -> MarkedTensors:
    """Return the tensors in `file`, float32 one behind the other. Raises ValueError for any other answer."""
    listed = checked(list[tuple[str, list[int]]], answer["tensors"])
    names = [name for name, _ in listed]
    if len(set(names)) < len(names) or not set(names) <= {*asked, LOGITS} or LOGITS not in names:
        raise ValueError("it has other tensors than were asked for")
    if any(not shape or shape[0] != images or min(shape) < 1 for _, shape in listed):
        raise ValueError("it has tensors of other sizes")
    sizes = [math.prod(shape) for _, shape in listed]
    if 4 * sum(sizes) > MOST_BYTES or file.stat().st_size != 4 * sum(sizes):
        raise ValueError(f"its tensors have {file.stat().st_size:,} bytes, their shapes {4 * sum(sizes):,}")
    parts = np.split(np.fromfile(file, "<f4"), np.cumsum(sizes)[:-1])
    found = {name: part.reshape(shape) for (name, shape), part in zip(listed, parts, strict=True)}
    values = {name: found[name] for name in asked if name in found}
    return MarkedTensors(values, found[LOGITS], tuple(name for name in asked if name not in found))
