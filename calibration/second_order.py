"""Second-order rounding of a layer's weights, at the scales that leave the least error.

Minimises E |(W - W') (x' - E[x'])|^2 greedily: Frantar et al., "GPTQ: Accurate Post-Training Quantization for
Generative Pre-trained Transformers" (2022), algorithm 1, after Hassibi & Stork's optimal brain surgeon.
Columns go in the order of decreasing Hessian diagonal. The mean error is left to bias correction.

How large the error is depends on the scale by chance: with a slightly other one all weights are rounded
otherwise. The fewer weights a row has, the more so: for the nine weights of a depthwise convolution the best
of a hundred scales has about half of the error of the first.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibration.grid import QuantizedWeight, nearest_weights

BLOCK = 128
GROWTH = 1 + 0.003 * np.arange(101)
"""By how much a channel's scale may grow: until the coarser grid costs more than chance can give."""
PRODUCTS = 2e9
"""Multiplications that a layer may take: large layers, whose rows depend less on chance, try fewer scales."""
HELD = 1 << 25
"""Weights that are rounded together at most."""

Rows = NDArray[np.float64]


def least_error_rounding(
    weight: NDArray[np.float32], scales: NDArray[np.float32], hessian: NDArray[np.float64]
) -> QuantizedWeight:
    """Round at `scales` [K] or slightly larger ones: each row at that of least error.

    `weight` [K, ...]; `hessian` [G, D, D] is positive definite, one for each group of the layer's inputs.
    """
    inputs = hessian.shape[1]
    fitting = min(PRODUCTS / (len(weight) * inputs**2), HELD / (len(weight) * inputs))
    growth = GROWTH[: max(1, int(fitting))]
    return _by_groups(weight, scales, hessian, growth)


def second_order_rounding(
    weight: NDArray[np.float32], scales: NDArray[np.float32], hessian: NDArray[np.float64]
) -> QuantizedWeight:
    """Round at `scales` [K]; arguments as for `least_error_rounding`."""
    return _by_groups(weight, scales, hessian, np.ones(1))


def _by_groups(
    weight: NDArray[np.float32],
    scales: NDArray[np.float32],
    hessian: NDArray[np.float64],
    growth: NDArray[np.floating],
) -> QuantizedWeight:
    groups = len(hessian)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    steps = scales.reshape(groups, -1, 1) * growth.astype(np.float32)
    found = [_least_error(*group) for group in zip(rows, steps, hessian, strict=True)]
    values, chosen = (np.concatenate(each) for each in zip(*found, strict=True))
    return QuantizedWeight(values.reshape(weight.shape), chosen)


def _least_error(
    weight: NDArray[np.float32], steps: NDArray[np.float32], hessian: NDArray[np.float64]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 [K, D] and float32 [K] for weight [K, D], each row at that of its scales [K, N] of least error."""
    count = steps.shape[1]
    tried = np.repeat(weight, count, axis=0)
    rounded = SecondOrder.of(hessian).rounded(tried, steps.ravel().astype(np.float64))
    best = rounded.losses.reshape(steps.shape).argmin(axis=1)
    rows = np.arange(len(weight))
    return rounded.values.reshape(*steps.shape, -1)[rows, best], steps[rows, best]


@dataclass(frozen=True)
class Rounded:
    """int8 [K, D], and the error of each row by the Hessian, float64 [K]."""

    values: NDArray[np.int8]
    losses: Rows


@dataclass(frozen=True)
class SecondOrder:
    """Columns in the order in which they are rounded.

    `upper` is the Cholesky factor of the inverse Hessian in that order: row i says how an error of column i
    moves onto those behind it.
    """

    order: NDArray[np.intp]
    upper: Rows

    @classmethod
    def of(cls, hessian: NDArray[np.float64]) -> Self:
        """From a positive definite Hessian [D, D]."""
        order = np.argsort(-np.diag(hessian), kind="stable")
        return cls(order, inverse_factor(hessian, order))

    def rounded(self, weight: NDArray[np.float32], step: Rows) -> Rounded:
        """Round weight [K, D] column after column, moving each column's error onto those not yet rounded."""
        rest = np.ascontiguousarray(weight.T[self.order], np.float64)
        integers, losses = np.empty(rest.shape, np.int8), np.zeros(len(weight))
        for start in range(0, len(rest), BLOCK):
            stop = min(start + BLOCK, len(rest))
            columns, moves = rest[start:stop], np.ascontiguousarray(self.upper[start:stop, start:])
            errors = np.empty(columns.shape)
            for i in range(len(columns)):
                rounded = nearest_weights(columns[i] / step)
                integers[start + i] = rounded
                errors[i] = (columns[i] - rounded * step) / moves[i, i]
                columns[i + 1 :] -= moves[i, i + 1 : len(columns), None] * errors[i]
            rest[stop:] -= moves[:, len(columns) :].T @ errors
            losses += np.square(errors).sum(axis=0)
        values = np.empty(weight.shape, np.int8)
        values[:, self.order] = integers.T
        return Rounded(values, losses)


def inverse_factor(hessian: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return U, upper triangular, with U^T U the inverse of a positive definite matrix in that `order`.

    The matrix is R R^T for an upper triangular R, which is the Cholesky factor from the last column to the
    first. U is the inverse of R.
    """
    from scipy.linalg import cholesky, lapack

    last_first = order[::-1]
    factor = hessian[np.ix_(last_first, last_first)].T
    factor = cholesky(factor, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = lapack.dtrtri(factor, lower=1, overwrite_c=1)
    upper: NDArray[np.float64] = inverse[::-1, ::-1]
    return upper
