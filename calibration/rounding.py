"""From float weights to int8 weights: scales, rounding and bias, with or without knowing the layer's inputs.

All methods look at one layer alone, at what it reads in the float model: x before and x' after quantisation
of the activation. A convolution is the product of its weights W [K, D], D = C * R * S, with the patches of
its input.
"""

import numpy as np
from numpy.typing import NDArray

from calibration.grid import QuantizedWeight, max_scales, nearest_weights
from calibration.moments import InputMoments
from calibration.weight_layers import LayerWeights

BLOCK = 128
SHRINK = np.linspace(0.75, 1.0, 26)


def corrected_bias(
    layer: LayerWeights, weight: QuantizedWeight, moments: InputMoments
) -> NDArray[np.float32]:
    """float32 [K]: bias + W E[x] - W' E[x'], so that the layer's mean output is the float layer's.

    Empirical bias correction: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
    Correction" (ICCV 2019), section 4.2, with the error of the activations included.
    """
    before = _mean_output(layer.weight, moments.float_mean)
    after = _mean_output(weight.dequantize(), moments.quantized_mean)
    corrected: NDArray[np.float32] = (layer.bias + before - after).astype(np.float32)
    return corrected


def _mean_output(weight: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [K]: W E[x]. Of all inputs in `mean`, [groups * D], each group of outputs reads its own D."""
    inputs = mean.reshape(-1, weight[0].size)
    outputs = weight.reshape(len(inputs), -1, weight[0].size).astype(np.float64)
    found: NDArray[np.float64] = (outputs @ inputs[:, :, None]).ravel()
    return found


def mse_scales(weight: NDArray[np.float32], importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [K]: each output channel's scale in [0.75, 1] * max / 127 of least sum(importance * error^2).

    `importance` [G, D] is the mean square of each group's inputs, the diagonal of the layer's Hessian.
    """
    groups = len(importance)
    flat = weight.reshape(groups, len(weight) // groups, -1).astype(np.float64)
    largest = max_scales(weight)
    safe = np.where(largest > 0, largest, 1.0).reshape(flat.shape[:2])
    errors = []
    for shrink in SHRINK:
        scale = (safe * shrink)[:, :, None]
        difference = nearest_weights(flat / scale) * scale - flat
        errors.append(
            [square @ power for square, power in zip(difference * difference, importance, strict=True)]
        )
    best: NDArray[np.float64] = largest * SHRINK[np.argmin(errors, axis=0).ravel()]
    return best


def second_order_rounding(
    weight: NDArray[np.float32], scales: NDArray[np.float32], hessian: NDArray[np.float64]
) -> QuantizedWeight:
    """Round column after column, moving each column's error onto the columns not yet rounded.

    Minimises E |(W - W') (x' - E[x'])|^2 greedily: Frantar et al., "GPTQ: Accurate Post-Training Quantization
    for Generative Pre-trained Transformers" (2022), algorithm 1, after Hassibi & Stork's optimal brain
    surgeon. Columns go in the order of decreasing Hessian diagonal. `hessian` [G, D, D] is positive definite;
    the mean error is left to bias correction.
    """
    groups = len(hessian)
    rows = weight.reshape(groups, len(weight) // groups, -1)
    steps = scales.reshape(groups, -1).astype(np.float64)
    values = [_rounded_rows(*group) for group in zip(rows, steps, hessian, strict=True)]
    return QuantizedWeight(np.concatenate(values).reshape(weight.shape), scales)


def _rounded_rows(
    weight: NDArray[np.float32], step: NDArray[np.float64], hessian: NDArray[np.float64]
) -> NDArray[np.int8]:
    """int8 [K, D] for weight [K, D] of one group."""
    order = np.argsort(-np.diag(hessian), kind="stable")
    upper = inverse_factor(hessian, order)
    rest = np.ascontiguousarray(weight.T[order], np.float64)
    integers = np.empty(rest.shape, np.int8)
    for start in range(0, len(rest), BLOCK):
        stop = min(start + BLOCK, len(rest))
        columns, moves = rest[start:stop], np.ascontiguousarray(upper[start:stop, start:])
        errors = np.empty(columns.shape)
        for i in range(len(columns)):
            rounded = nearest_weights(columns[i] / step)
            integers[start + i] = rounded
            errors[i] = (columns[i] - rounded * step) / moves[i, i]
            columns[i + 1 :] -= moves[i, i + 1 : len(columns), None] * errors[i]
        rest[stop:] -= moves[:, len(columns) :].T @ errors
    values = np.empty(weight.shape, np.int8)
    values[:, order] = integers.T
    return values


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
