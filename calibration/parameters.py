"""The numbers of a quantised model: a grid for every activation, integers and a bias for every layer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.grid import ActivationGrid, QuantizedWeight


@dataclass(frozen=True)
class QuantizedLayer:
    """int8 weights, output channel first, and float32 bias [K] of a Conv or Gemm."""

    weight: QuantizedWeight
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Parameters:
    """`grids` by the name of the tensor to quantise, `layers` by the index of the node.

    `left_out` are notes of corrections that could not be done; see `calibration.left_out`. `outlook` is
    that of `Ranges`.
    """

    grids: dict[str, ActivationGrid]
    layers: dict[int, QuantizedLayer]
    left_out: tuple[str, ...] = ()
    outlook: str = ""
