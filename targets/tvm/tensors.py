"""The tensors that operators read and write: activations on a grid, and float tensors of islands."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
Steps = NDArray[np.uint8] | NDArray[np.uint16]
"""Stored numbers of an activation: uint8, or uint16 of a wide one."""
Int8s = NDArray[np.int8]
Int32s = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tensor:
    """An activation [height, width, channels] of uint8, or of uint16 where it is `wide`.

    `zero_point` is per channel only for the image.
    """

    name: str
    height: int
    width: int
    channels: int
    zero_point: tuple[int, ...]
    wide: bool = False

    @property
    def zero(self) -> int:
        """The zero point of a per-tensor grid."""
        if len(self.zero_point) != 1:
            raise ValueError(f"{self.name} has a zero point per channel")
        return self.zero_point[0]

    @property
    def highest(self) -> int:
        """The largest stored number."""
        return 65535 if self.wide else 255


@dataclass(frozen=True)
class Dense:
    """A tensor of an island: contiguous, in ONNX's shape and order, the batch (always 1) included."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize
