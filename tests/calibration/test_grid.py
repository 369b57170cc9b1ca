import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx.reference import ReferenceEvaluator

from calibration.grid import activation_grid, round_weight, weight_scales
from calibration.recipe import Scheme

bound = st.floats(0.001, 1e4)
schemes = st.sampled_from(Scheme)


@given(bound, bound, schemes, st.integers(0, 2**32 - 1))
def test_quantising_agrees_with_the_standards_reference_implementation(
    low: float, high: float, scheme: Scheme, seed: int
) -> None:
    grid = activation_grid(-low, high, scheme)
    x = np.random.default_rng(seed).uniform(-2 * low, 2 * high, 100).astype(np.float32)
    kind = onnx.TensorProto.INT8 if scheme is Scheme.SYM else onnx.TensorProto.UINT8
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])
    float_info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "q",
        [float_info("x", 1, [None]), float_info("s", 1, []), float_info("z", kind, [])],
        [float_info("q", kind, [None])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    inputs = {"x": x, "s": np.asarray(grid.scale), "z": np.asarray(grid.zero_point)}
    (expected,) = ReferenceEvaluator(model).run(None, inputs)
    np.testing.assert_array_equal(grid.quantize(x), expected)


@given(bound, bound, schemes, st.integers(0, 2**32 - 1))
def test_quantising_twice_is_quantising_once(low: float, high: float, scheme: Scheme, seed: int) -> None:
    grid = activation_grid(-low, high, scheme)
    x = np.random.default_rng(seed).uniform(-2 * low, 2 * high, 100).astype(np.float32)
    once = grid.quantize(x)
    np.testing.assert_array_equal(grid.quantize(grid.dequantize(once)), once)


@given(bound, bound, schemes)
def test_zero_is_exact_and_the_bounds_are_half_a_step_off_at_most(
    low: float, high: float, scheme: Scheme
) -> None:
    grid = activation_grid(-low, high, scheme)
    x = np.array([0, -low, high], np.float32)
    back = grid.dequantize(grid.quantize(x))
    assert back[0] == 0
    assert np.abs(back - x).max() <= 0.501 * grid.scale + (grid.scale / 2 if scheme is Scheme.ASYM else 0)


@given(bound, bound, st.integers(-8, 8), schemes)
def test_a_range_twice_as_wide_has_a_scale_twice_as_large(
    low: float, high: float, power: int, scheme: Scheme
) -> None:
    grid, scaled = (
        activation_grid(-low, high, scheme),
        activation_grid(-low * 2**power, high * 2**power, scheme),
    )
    assert scaled.scale == grid.scale * np.float32(2**power)
    assert scaled.zero_point == grid.zero_point


@pytest.mark.parametrize("scheme", list(Scheme))
def test_a_tensor_that_is_always_zero_gets_a_usable_scale(scheme: Scheme) -> None:
    assert activation_grid(0, 0, scheme).scale == 1


@given(arrays(np.float32, (4, 3, 2, 2), elements=st.floats(-8, 8, width=32)))
def test_weights_stay_within_half_a_step_and_in_127(weight: np.ndarray) -> None:
    quantized = round_weight(weight, weight_scales(weight, np.zeros(4, np.float32), 0.1))
    step = quantized.scales.reshape(-1, 1, 1, 1)
    assert np.abs(quantized.values.astype(int)).max() <= 127
    assert (np.abs(quantized.dequantize() - weight) <= 0.501 * step).all()


def test_a_bias_that_dwarfs_its_weights_still_fits_int32() -> None:
    weight, bias = np.full((1, 1, 1, 1), 1e-12, np.float32), np.array([3.0], np.float32)
    scale = weight_scales(weight, bias, input_scale=0.02)
    assert abs(bias[0] / (np.float64(0.02) * scale[0])) <= 2**30 * 1.001


def test_a_channel_without_weights_rounds_its_bias_as_finely_as_the_others() -> None:
    weight = np.stack([np.zeros((3, 1, 1)), np.ones((3, 1, 1))]).astype(np.float32)
    scales = weight_scales(weight, np.ones(2, np.float32), 0.1)
    assert scales[0] == scales[1]
