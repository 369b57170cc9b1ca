"""The constants of all kinds of convolutions: biases and multipliers of stored channels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from targets.tvm.isa import APART, CENTRE, Isa
from targets.tvm.operators.convolution import Conv


@dataclass(frozen=True, eq=False)
class PackedConv:
    """Weights as the kernel reads them; bias with the zero point's share, multipliers, both padded.

    `factor`: what a function's results are multiplied by, padded too; empty where there is no function.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.float32]
    factor: NDArray[np.float32]


def stored_bias(op: Conv, channels: int, isa: Isa) -> NDArray[np.int64]:
    """Biases with the stored zero points folded in: sum((x - zx) w) = sum(x w) - sum(zx w)."""
    count, per_group = op.weight.shape[:2]
    zeros = np.broadcast_to(np.array(op.input.zero_point) - _offset(op, isa), op.input.channels)
    by_output = np.repeat(zeros.reshape(op.groups, per_group), count // op.groups, axis=0)
    correction = (op.weight.astype(np.int64).sum(axis=(2, 3)) * by_output).sum(axis=1)
    bias = np.zeros(channels, np.int64)
    bias[:count] = op.bias - correction
    return bias


def _offset(op: Conv, isa: Isa) -> int:
    """An activation's value minus the number that is multiplied in its place."""
    return (APART if isa.bytes_apart else CENTRE) if op.input.wide else 128 * isa.signed


def stored_multiplier(op: Conv, channels: int) -> NDArray[np.float32]:
    """Multipliers; zero for channels that are only stored."""
    multiplier = np.zeros(channels, np.float32)
    multiplier[: len(op.multiplier)] = op.multiplier
    return multiplier


def stored_factor(op: Conv, channels: int) -> NDArray[np.float32]:
    """Factors behind a function of the sums, as multipliers are stored; none without a function."""
    if op.applied is None:
        return np.zeros(0, np.float32)
    factor = np.zeros(channels, np.float32)
    factor[: len(op.applied.factor)] = op.applied.factor
    return factor
