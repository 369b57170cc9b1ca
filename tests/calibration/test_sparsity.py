import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.collect import collect
from calibration.errors import RecipeError
from calibration.grid import max_scales
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from calibration.second_order import second_order_rounding
from calibration.sparsity import sparse_rounding
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export


def layer(seed: int, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Weights, and the covariance of correlated inputs."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape[1:]))
    mixed = np.maximum(rng.normal(size=(4 * size, size)) @ rng.normal(size=(size, size)) + 1, 0)
    covariance = np.cov(mixed.T, bias=True)
    covariance += 0.01 * np.diag(covariance).mean() * np.eye(size)
    return rng.normal(size=shape).astype(np.float32), covariance[None]


def error(difference: NDArray[np.float64], hessian: NDArray[np.float64]) -> float:
    rows = difference.reshape(len(difference), -1)
    return float(np.einsum("kd,de,ke->", rows, hessian[0], rows))


def zeros_of_four(values: NDArray[np.int8]) -> NDArray[np.int64]:
    fours = values.reshape(len(values), values.shape[1] // 4, 4, -1)
    return np.asarray((fours == 0).sum(axis=2))


@given(st.integers(0, 2**16), st.sampled_from([(5, 8), (3, 4, 3, 3), (4, 12, 1, 1), (2, 8, 1, 3)]))
@settings(max_examples=20)
def test_of_four_channels_at_one_place_two_are_zero(seed: int, shape: tuple[int, ...]) -> None:
    weight, hessian = layer(seed, shape)
    found = sparse_rounding(weight, max_scales(weight).astype(np.float32), hessian)
    assert found.values.shape == shape
    assert (zeros_of_four(found.values) >= 2).all()
    assert np.abs(found.values.astype(int)).max() <= 127


@given(st.integers(0, 2**16))
@settings(max_examples=20)
def test_moving_the_error_is_better_than_leaving_weights_out(seed: int) -> None:
    """Against the best plain choice of two of four by magnitude, rounded to nearest."""
    weight, hessian = layer(seed, (16, 16))
    scales = max_scales(weight).astype(np.float32)
    found = sparse_rounding(weight, scales, hessian).dequantize().astype(np.float64)
    fours = np.abs(weight).reshape(16, 4, 4)
    kept = fours.argsort(axis=2).argsort(axis=2) >= 2
    plain = np.where(kept.reshape(16, 16), np.rint(weight / scales[:, None]) * scales[:, None], 0)
    assert error(found - weight, hessian) < error(plain - weight, hessian)


def test_it_is_close_to_the_best_mask_with_the_best_weights() -> None:
    """Of eight weights all 36 masks are tried, each with the least squares solution for what it keeps."""
    ratios = []
    for seed in range(20):
        weight, hessian = layer(seed, (1, 8))
        scales = np.full(1, 1e-2, np.float32) * np.abs(weight).max()
        best = np.inf
        pairs = list(itertools.combinations(range(4), 2))
        for one, other in itertools.product(pairs, pairs):
            kept = [*one, *(4 + i for i in other)]
            solved = np.zeros(8)
            solved[kept] = np.linalg.solve(hessian[0][np.ix_(kept, kept)], hessian[0][kept] @ weight[0])
            best = min(best, error((solved - weight[0])[None], hessian))
        found = sparse_rounding(weight, scales, hessian).dequantize().astype(np.float64)
        ratios.append(error(found - weight, hessian) / best)
    assert np.median(ratios) < 2.5


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (4, 6)])
def test_layers_without_whole_fours_are_rounded_as_by_obq(shape: tuple[int, ...]) -> None:
    weight, hessian = layer(1, shape)
    scales = max_scales(weight).astype(np.float32)
    found, dense = sparse_rounding(weight, scales, hessian), second_order_rounding(weight, scales, hessian)
    assert np.array_equal(found.values, dense.values)


def test_a_network_is_pruned_by_its_recipe(tmp_path: Path) -> None:
    recipe = QuantRecipe.parse("w8a8_sym_sparse_bc")
    model = export(TinyResNet(projection=True), tmp_path / "model.onnx").path
    images = [pictures(8, (16, 16, 3))]
    quantize(model, collect(model, images, recipe), recipe, tmp_path / "int8.onnx", images)
    weights = [
        numpy_helper.to_array(one)
        for one in onnx.load(tmp_path / "int8.onnx").graph.initializer
        if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4
    ]
    pruned = [bool((zeros_of_four(one) >= 2).all()) for one in weights if one.shape[1] % 4 == 0]
    assert pruned
    assert all(pruned)


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ("w8a8_asym_sparse", "kernels skip no zeros"),
        ("w8a8_sym_obq_sparse", "rounds by second order itself"),
        ("w8a8_sym_sparse_ada", "moves weights that were pruned"),
        ("w8a8_sym_nosat_sparse", "each chooses all weights"),
    ],
)
def test_what_it_cannot_be_combined_with_is_refused(recipe: str, why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        QuantRecipe.parse(recipe)
