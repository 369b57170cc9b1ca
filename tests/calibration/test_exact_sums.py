"""Neither the order of images nor how they are cut decides a bit of what calibration sums up."""

import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import calibration.activations
from calibration.collect import collect
from calibration.exact_sums import ExactProducts
from calibration.find_parameters import find_parameters
from calibration.grid import ActivationGrid
from calibration.moments import InputMoments, InputSums, sum_inputs
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement, place
from calibration.recipe import QuantRecipe
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Separable, export

SIZE = (12, 12, 3)
IMAGES = pictures(24, SIZE)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("reach", [127, 128, 255, 1 << 15])
def test_products_are_those_of_integers_where_floats_would_round(reach: int, groups: int) -> None:
    rows = np.random.default_rng(reach).integers(reach // 2, min(reach + 1, 1 << 15), (1500, groups, 3))
    rows[0] = -reach
    found = ExactProducts(groups, 3, reach)
    for part in np.split(rows.astype(np.float32), [1, 700, 1499]):
        found.add(part)
    np.testing.assert_array_equal(found.total, np.einsum("ngi,ngj->gij", rows, rows))
    assert found.rows == len(rows)


def test_rows_that_wait_take_less_memory_than_the_sum() -> None:
    """A depthwise convolution has many groups, and few inputs in each."""
    part, found = np.ones((64, 50, 9), np.float32), ExactProducts(50, 9, 127)
    tracemalloc.start()
    try:
        for _ in range(100):
            found.add(part)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * part.astype(np.int16).nbytes
    assert found.rows == 6400


@pytest.fixture(scope="module")
def float_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(Separable(), tmp_path_factory.mktemp("sums") / "float.onnx", SIZE).path


class SummedNetwork:
    """A network whose inputs are summed for a recipe that needs all moments."""

    def __init__(self, model: Path, recipe: str) -> None:
        self.graph, self.recipe = OnnxGraph.load(model), QuantRecipe.parse(recipe)
        self.placement: Placement = place(self.graph, self.recipe)
        ranges = collect(model, [IMAGES], self.recipe)
        self.grids: dict[str, ActivationGrid] = find_parameters(
            self.graph, self.placement, ranges, self.recipe, [IMAGES]
        ).grids

    def sums(self, batches: list[NDArray[np.uint8]]) -> dict[int, InputSums]:
        return sum_inputs(self.graph, self.placement, self.grids, batches, lambda _: None)


@pytest.fixture(scope="module", params=["w8a8_asym_obq", "w8a8_sym_pix_obq"])
def subject(request: pytest.FixtureRequest, float_model: Path) -> SummedNetwork:
    return SummedNetwork(float_model, request.param)


def assert_same(found: InputMoments, wanted: InputMoments) -> None:
    for name in ("covariance", "float_mean", "quantized_mean"):
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name


cuts = st.lists(st.integers(1, len(IMAGES) - 1), unique=True, max_size=6).map(sorted)


@settings(max_examples=6, deadline=None)
@given(cuts, st.randoms(use_true_random=False), st.integers(1, 7))
def test_moments_of_parts_merged_in_any_order_are_those_of_the_whole(
    subject: SummedNetwork, cuts: list[int], draw: random.Random, batch: int
) -> None:
    wanted = subject.sums([IMAGES])
    parts = np.split(IMAGES, cuts)
    draw.shuffle(parts)
    summed = [subject.sums([part[i : i + batch] for i in range(0, len(part), batch)]) for part in parts]
    for index, layer in summed[0].items():
        for other in summed[1:]:
            layer.merge(other[index])
        assert_same(layer.moments(), wanted[index].moments())


def test_how_much_is_held_at_once_decides_no_bit(
    subject: SummedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = subject.sums([IMAGES])
    monkeypatch.setattr(calibration.activations, "CHUNK_BYTES", 1)
    found = subject.sums([IMAGES])
    for index, layer in found.items():
        assert_same(layer.moments(), wanted[index].moments())


def test_many_images_leave_32_bits_and_nothing_is_lost(subject: SummedNetwork) -> None:
    times = 1 << 20
    once, often = subject.sums([IMAGES]), subject.sums([IMAGES])
    for index, layer in often.items():
        for _ in range(20):
            layer.merge(layer)
        before = once[index].products
        assert before is not None
        assert layer.products is not None
        assert layer.products.total.dtype == np.int64
        np.testing.assert_array_equal(layer.products.total, before.total.astype(np.int64) * times)
        assert_same(layer.moments(), once[index].moments())


def test_the_covariance_is_that_of_the_quantised_values(subject: SummedNetwork) -> None:
    """In float64, from integers; the last digits of float32 are those of its one rounding at the end."""
    for layer in subject.sums([IMAGES]).values():
        found = layer.moments()
        assert found.covariance is not None
        lowest = [np.linalg.eigvalsh(group.astype(np.float64))[0] for group in found.covariance]
        largest = np.abs(found.covariance).max()
        assert min(lowest) >= -1e-6 * largest
