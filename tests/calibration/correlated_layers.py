"""A layer with random weights, and correlated inputs for it."""

import numpy as np
from numpy.typing import NDArray

from calibration.weight_layers import LayerWeights

K, D = 6, 24


def correlated_inputs(seed: int, count: int = 400) -> NDArray[np.float64]:
    """Correlated, positive inputs such as a Relu gives."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, D)) @ rng.normal(size=(D, D))
    return np.asarray(np.maximum(mixed + 1, 0))


def random_layer(seed: int) -> LayerWeights:
    rng = np.random.default_rng(seed)
    return LayerWeights(rng.normal(size=(K, D)).astype(np.float32), rng.normal(size=K).astype(np.float32))
