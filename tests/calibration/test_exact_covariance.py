"""Neither the order of images nor how they are cut decides a bit of what calibration sums up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration import exact_covariance as exact_covariance_module
from calibration.collect import collect
from calibration.exact_covariance import exact_covariance
from calibration.find_parameters import find_parameters
from calibration.grid import ActivationGrid
from calibration.moments import InputMoments, moments_by_layer
from calibration.onnx_graph import OnnxGraph
from calibration.placement import Placement, place
from calibration.recipe import QuantRecipe
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Separable, export

SIZE = (12, 12, 3)
IMAGES = pictures(24, SIZE)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("limit", [1 << 24, 1 << 18])
def test_the_covariance_is_that_of_integers_where_floats_would_round(
    dtype: type[np.int8 | np.int16], groups: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded once, to float32, however often a sum has to be set aside."""
    monkeypatch.setattr(exact_covariance_module, "EXACT_IN_FLOAT32", limit)
    bounds = np.iinfo(dtype)
    rng = np.random.default_rng(bounds.max + groups)
    rows = rng.integers(bounds.min, bounds.max, (5000, groups, 3), dtype, endpoint=True)
    rows[:, :, 0] = bounds.max
    rows[:7, :, 0] = bounds.min
    exact = rows.astype(object)
    products, sums = (exact[:, :, :, None] * exact[:, :, None, :]).sum(axis=0), exact.sum(axis=0)
    wanted = len(rows) * products - sums[:, :, None] * sums[:, None, :]
    found = exact_covariance(rows)
    np.testing.assert_allclose(found, (wanted / len(rows) ** 2).astype(np.float64), rtol=1e-7, atol=1e-6)
    np.testing.assert_array_equal(found, found.transpose(0, 2, 1))


def test_the_order_of_rows_decides_no_bit() -> None:
    rng = np.random.default_rng(0)
    rows = np.clip(rng.normal(-90, 40, (9000, 1, 70)), -128, 127).astype(np.int8)
    assert exact_covariance(rows).tobytes() == exact_covariance(rng.permutation(rows)).tobytes()


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

    def moments(self, batches: list[NDArray[np.uint8]]) -> dict[int, InputMoments]:
        return dict(moments_by_layer(self.graph, self.placement, self.grids, batches, lambda _: None))


@pytest.fixture(scope="module", params=["w8a8_asym_obq", "w8a8_sym_pix_obq"])
def subject(request: pytest.FixtureRequest, float_model: Path) -> SummedNetwork:
    return SummedNetwork(float_model, request.param)


def assert_same(found: InputMoments, wanted: InputMoments) -> None:
    for name in ("covariance", "float_mean", "quantized_mean"):
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, len(IMAGES) - 1), unique=True, max_size=6).map(sorted))
def test_how_images_are_cut_into_batches_decides_no_bit(subject: SummedNetwork, cuts: list[int]) -> None:
    wanted, found = subject.moments([IMAGES]), subject.moments(np.split(IMAGES, cuts))
    for index, moments in found.items():
        assert_same(moments, wanted[index])


@pytest.mark.parametrize("limit", ["calibration.activations.CHUNK_BYTES", "calibration.moments.KEPT_BYTES"])
def test_how_much_is_held_at_once_decides_no_bit(
    subject: SummedNetwork, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    wanted = subject.moments([IMAGES])
    monkeypatch.setattr(limit, 1)
    found = subject.moments([IMAGES])
    assert list(found) == list(wanted)
    for index, moments in found.items():
        assert_same(moments, wanted[index])


@pytest.mark.parametrize("kept", [1 << 27, 1])
def test_each_image_is_reported_once_whatever_the_number_of_passes(
    subject: SummedNetwork, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr("calibration.moments.KEPT_BYTES", kept)
    seen = list[int]()
    batches = [IMAGES[i : i + 5] for i in range(0, len(IMAGES), 5)]
    list(moments_by_layer(subject.graph, subject.placement, subject.grids, batches, seen.append))
    assert sum(seen) == len(IMAGES)


def test_the_covariance_is_that_of_the_quantised_values(subject: SummedNetwork) -> None:
    """In float64, from integers; the last digits of float32 are those of its one rounding at the end."""
    for found in subject.moments([IMAGES]).values():
        assert found.covariance is not None
        np.testing.assert_array_equal(found.covariance, found.covariance.transpose(0, 2, 1))
        lowest = [np.linalg.eigvalsh(group.astype(np.float64))[0] for group in found.covariance]
        largest = np.abs(found.covariance).max()
        assert min(lowest) >= -1e-6 * largest
