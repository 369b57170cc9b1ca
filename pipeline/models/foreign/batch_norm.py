"""What a batch norm does to each channel in inference (Ioffe & Szegedy 2015, algorithm 2)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.onnx_graph import attribute

Doubles = NDArray[np.float64]


def gain_and_shift(
    norm: onnx.NodeProto, constant: Callable[[str], NDArray[Any] | None]
) -> tuple[Doubles, Doubles] | None:
    """Return the factor and the addend of each channel, [C]; None where one of its constants is computed."""
    values = [constant(name) for name in norm.input[1:]]
    if any(value is None for value in values):
        return None
    scale, shift, mean, variance = (np.asarray(value, np.float64) for value in values)
    gain = scale / np.sqrt(variance + attribute(norm, "epsilon", 1e-5))
    return gain, shift - mean * gain
