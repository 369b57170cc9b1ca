"""From float weights to int8 weights: scales, rounding and bias, with or without knowing the layer's inputs.

All methods look at one layer alone, at what it reads in the float model: x before and x' after quantisation
of the activation. A convolution is the product of its weights W [K, D], D = C * R * S, with the patches of
its input.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.grid import QuantizedWeight, max_scales, nearest_weights, round_weight, weight_scales
from calibration.recipe import Correction, QuantRecipe
from calibration.weight_layers import LayerWeights

DAMPING = 0.01
"""Of the mean diagonal, added to the diagonal of the Hessian; the value of the GPTQ paper."""
BLOCK = 128
SHRINK = np.linspace(0.75, 1.0, 26)


@dataclass(frozen=True)
class InputMoments:
    """What is known of a layer's input patches.

    `covariance` float32 [D, D] of the quantised patches x', None if nobody needs it; `float_mean` and
    `quantized_mean` float64 [D].
    """

    covariance: NDArray[np.float32] | None
    float_mean: NDArray[np.float64]
    quantized_mean: NDArray[np.float64]


def quantize_layer(
    layer: LayerWeights, input_scale: float, recipe: QuantRecipe, moments: InputMoments | None = None
) -> tuple[QuantizedWeight, NDArray[np.float32]]:
    """Return a layer's int8 weights and its float32 bias [K].

    `input_scale` is the scale of the layer's input grid. `moments` are needed for a recipe with wmse, obq
    or bc, with a covariance for the first two.
    """
    covariance = None if moments is None else moments.covariance
    weight = _rounded(layer, input_scale, recipe, covariance)
    if moments is None or not recipe.has(Correction.BIAS):
        return weight, layer.bias
    return weight, corrected_bias(layer, weight, moments)


def _rounded(
    layer: LayerWeights, input_scale: float, recipe: QuantRecipe, covariance: NDArray[np.float32] | None
) -> QuantizedWeight:
    if covariance is None:
        return round_weight(layer.weight, weight_scales(layer.weight, layer.bias, input_scale))
    hessian = _hessian(covariance)
    wanted = mse_scales(layer.weight, np.diag(hessian)) if recipe.has(Correction.WEIGHT_MSE) else None
    scales = weight_scales(layer.weight, layer.bias, input_scale, wanted)
    if recipe.has(Correction.SECOND_ORDER):
        return second_order_rounding(layer.weight, scales, hessian)
    return round_weight(layer.weight, scales)


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

    `importance` [D] is the mean square of each input, the diagonal of the layer's Hessian.
    """
    flat = weight.reshape(len(weight), -1).astype(np.float64)
    largest = max_scales(weight)
    safe = np.where(largest > 0, largest, 1.0)
    errors = []
    for shrink in SHRINK:
        scale = (safe * shrink)[:, None]
        difference = nearest_weights(flat / scale) * scale - flat
        errors.append((difference * difference) @ importance)
    best: NDArray[np.float64] = largest * SHRINK[np.argmin(errors, axis=0)]
    return best


def second_order_rounding(
    weight: NDArray[np.float32], scales: NDArray[np.float32], hessian: NDArray[np.float64]
) -> QuantizedWeight:
    """Round column after column, moving each column's error onto the columns not yet rounded.

    Minimises E |(W - W') (x' - E[x'])|^2 greedily: Frantar et al., "GPTQ: Accurate Post-Training Quantization
    for Generative Pre-trained Transformers" (2022), algorithm 1, after Hassibi & Stork's optimal brain
    surgeon. Columns go in the order of decreasing Hessian diagonal. `hessian` [D, D] is positive definite;
    the mean is the bias's concern.
    """
    from scipy.linalg import cholesky, lapack

    order = np.argsort(-np.diag(hessian), kind="stable")
    lower = cholesky(hessian[np.ix_(order, order)], lower=True)
    inverse, _ = lapack.dpotri(lower, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    upper = cholesky(inverse, lower=False)
    rest = weight.reshape(len(weight), -1).astype(np.float64)[:, order]
    integers = np.zeros(rest.shape)
    step = scales.astype(np.float64)
    for start in range(0, rest.shape[1], BLOCK):
        stop = min(start + BLOCK, rest.shape[1])
        errors = np.zeros((len(rest), stop - start))
        for i in range(start, stop):
            integers[:, i] = nearest_weights(rest[:, i] / step)
            error = (rest[:, i] - integers[:, i] * step) / upper[i, i]
            rest[:, i + 1 : stop] -= error[:, None] * upper[i, i + 1 : stop]
            errors[:, i - start] = error
        rest[:, stop:] -= errors @ upper[start:stop, stop:]
    values = np.empty(integers.shape, np.int8)
    values[:, order] = integers
    return QuantizedWeight(values.reshape(weight.shape), scales)


def _hessian(covariance: NDArray[np.float32]) -> NDArray[np.float64]:
    """The covariance with its diagonal raised, so that an input that never changes has no free rounding."""
    hessian = covariance.astype(np.float64)
    damping = DAMPING * hessian.diagonal().mean()
    hessian[np.diag_indices_from(hessian)] += damping if damping > 0 else 1.0
    return hessian
