import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.find_parameters import quantize_layer
from calibration.grid import max_scales, round_weight
from calibration.moments import InputMoments
from calibration.recipe import QuantRecipe
from calibration.rounding import mse_scales
from tests.calibration.correlated_layers import D, K, correlated_inputs, random_layer


def _moments(x: NDArray[np.float64], quantized: NDArray[np.float64]) -> InputMoments:
    return InputMoments(
        np.cov(quantized.T, bias=True).astype(np.float32)[None], x.mean(axis=0), quantized.mean(axis=0)
    )


@given(st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_bias_correction_makes_the_mean_output_the_float_layers(seed: int) -> None:
    layer, x = random_layer(seed), correlated_inputs(seed)
    quantized = np.minimum(np.rint(x * 4) / 4, 3)
    recipe = QuantRecipe.parse("w8a8_asym_bc")
    found_layer = quantize_layer(layer, 0.25, recipe, _moments(x, quantized))
    weight, bias = found_layer.weight, found_layer.bias
    expected = (x @ layer.weight.T.astype(np.float64) + layer.bias).mean(axis=0)
    found = (quantized @ weight.dequantize().T.astype(np.float64) + bias).mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_least_squares_scales_are_no_worse_than_the_largest_weights(seed: int) -> None:
    weight = np.random.default_rng(seed).standard_t(3, (K, D)).astype(np.float32)
    importance = np.random.default_rng(seed).uniform(0.1, 2, D)

    def errors(scales: NDArray[np.float64]) -> NDArray[np.float64]:
        back = round_weight(weight, scales.astype(np.float32)).dequantize()
        return np.asarray(((back - weight).astype(np.float64) ** 2) @ importance)

    assert (errors(mse_scales(weight, importance[None])) <= errors(max_scales(weight)) * 1.0001).all()


@pytest.mark.parametrize("name", ["w8a8_asym_obq_bc", "w8a8_asym_wmse", "w8a8_asym_wmse_obq_bc"])
def test_an_input_that_never_changes_is_no_trouble(name: str) -> None:
    layer, x = random_layer(2), correlated_inputs(2)
    x[:, 3:7] = 0.5
    quantized = quantize_layer(layer, 0.1, QuantRecipe.parse(name), _moments(x, x))
    weight, bias = quantized.weight, quantized.bias
    assert np.abs(weight.values.astype(int)).max() <= 127
    assert np.isfinite(bias).all()
