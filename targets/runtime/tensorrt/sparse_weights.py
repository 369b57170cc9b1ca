"""Whether a network's weights have the 2:4 pattern that sparse tensor cores skip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .engine import EngineProblem
from .mixed_onnx import QdqFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOUR = 4


def has_sparse_weights(model: bytes) -> bool:
    """Whether a convolution has at most two of each four weights along its input channels.

    Kernels for that are then worth trying; TensorRT takes one where it is faster. So may a DLA, whose network
    has no Q/DQ. False for files that are not networks.
    """
    try:
        return any(_is_sparse(weights) for weights in QdqFile(model).constant_weights())
    except EngineProblem:
        return False


def _is_sparse(weights: NDArray[Any]) -> bool:
    if weights.ndim < 2 or weights.shape[1] % FOUR or not weights.any():
        return False
    fours = weights.reshape(len(weights), weights.shape[1] // FOUR, FOUR, -1)
    return bool(((fours != 0).sum(axis=2) <= FOUR // 2).all())
