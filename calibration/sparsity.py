"""2:4 sparsity: of four weights that follow each other along the input channels at least two are zero.

NVIDIA's sparse tensor cores skip them (Ampere and later): Mishra et al., "Accelerating Sparse Deep Neural
Networks" (2021), section 3.
"""

import numpy as np
from numpy.typing import NDArray

from calibration.grid import QuantizedWeight, nearest_weights
from calibration.second_order import inverse_factor, second_order_rounding

FOUR = 4
BLOCK = 32
"""Groups of four whose errors are moved within them first, and then onto all later ones at once."""


def can_be_sparse(shape: tuple[int, ...], groups: int) -> bool:
    """Whether weights [K, C, ...] can have the pattern: C is a multiple of 4, and there is one group."""
    return groups == 1 and len(shape) > 1 and shape[1] % FOUR == 0


def kept_of_fours(weight: NDArray[np.number]) -> NDArray[np.bool_] | None:
    """Return which two of each four weights [K, C, ...] along C are kept; None if they have not the pattern.

    Those are the largest ones, so a four with more zeros keeps some of them, which training may move.
    """
    if weight.ndim < 2 or weight.shape[1] % FOUR:
        return None
    fours = np.abs(weight.astype(np.float64)).reshape(len(weight), weight.shape[1] // FOUR, FOUR, -1)
    if ((fours != 0).sum(axis=2) > FOUR // 2).any():
        return None
    order = (-fours).argsort(axis=2, kind="stable").argsort(axis=2, kind="stable")
    return (order < FOUR // 2).reshape(weight.shape)


def sparse_rounding(
    weight: NDArray[np.float32], scales: NDArray[np.float32], hessian: NDArray[np.float64]
) -> QuantizedWeight:
    """Prune two of each four weights [K, C, ...] along C and round the others to int8.

    Frantar & Alistarh, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot" (2023),
    algorithm 1 with its section 3.5 (pruning and rounding in one pass): of four weights those two with the
    least w^2 / U_ii^2 go, where U is the upper Cholesky factor of the inverse Hessian; the error of each is
    moved onto the weights that come later. A layer that cannot have the pattern is rounded by second order
    at its scales.
    """
    if not can_be_sparse(weight.shape, len(hessian)):
        return second_order_rounding(weight, scales, hessian)
    order = _fours_in_order(weight.shape, np.diag(hessian[0]))
    step = scales.astype(np.float64)
    rest = weight.reshape(len(weight), -1).astype(np.float64)[:, order]
    upper = inverse_factor(hessian[0], order)
    values = np.empty(rest.shape, np.int8)
    values[:, order] = _pruned_rows(rest, step, upper)
    return QuantizedWeight(values.reshape(weight.shape), scales)


def _fours_in_order(shape: tuple[int, ...], power: NDArray[np.float64]) -> NDArray[np.int64]:
    """Columns of weights [K, C * R * S]: four channels at one place together, the strongest inputs first."""
    places = np.arange(np.prod(shape[1:])).reshape(shape[1] // FOUR, FOUR, -1)
    fours = places.transpose(0, 2, 1).reshape(-1, FOUR)
    strongest: NDArray[np.int64] = fours[np.argsort(-power[fours].sum(axis=1), kind="stable")].ravel()
    return strongest


def _pruned_rows(
    rest: NDArray[np.float64], step: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Whole numbers [K, D], two of each four columns zero; `rest` is used up."""
    integers = np.zeros(rest.shape)
    for start in range(0, rest.shape[1], FOUR * BLOCK):
        stop = min(start + FOUR * BLOCK, rest.shape[1])
        errors = np.zeros((len(rest), stop - start))
        for first in range(start, stop, FOUR):
            diagonal = np.diag(upper)[first : first + FOUR]
            cost = (rest[:, first : first + FOUR] / diagonal) ** 2
            kept = cost.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") >= FOUR // 2
            for i in range(first, first + FOUR):
                integers[:, i] = np.where(kept[:, i - first], nearest_weights(rest[:, i] / step), 0)
                error = (rest[:, i] - integers[:, i] * step) / upper[i, i]
                rest[:, i + 1 : stop] -= error[:, None] * upper[i, i + 1 : stop]
                errors[:, i - start] = error
        rest[:, stop:] -= errors @ upper[start:stop, stop:]
    return integers
