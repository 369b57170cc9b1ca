"""Scales of int8 weights, and the bias that goes with them, from what the layer reads.

All methods look at one layer alone, at what it reads in the float model: x before and x' after quantisation
of the activation. A convolution is the product of its weights W [K, D], D = C * R * S, with the patches of
its input.
"""

import numpy as np
from numpy.typing import NDArray

from calibration.grid import QuantizedWeight, max_scales, nearest_weights
from calibration.moments import InputMoments
from calibration.weight_layers import LayerWeights

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
