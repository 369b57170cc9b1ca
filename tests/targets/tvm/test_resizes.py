"""Resize in integers against onnxruntime, with the settings that exporters write."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from targets.errors import EngineError
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph, Island
from targets.tvm.operators.resizing import Interpolate, Pick
from tests.targets.tvm.meaning import in_floats
from tests.targets.tvm.qdq_model import QdqModel

COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
SCALE, ZERO = 0.5, 77


def resized(folder: Path, size: tuple[int, int], given: dict[str, object], **attributes: object) -> Path:
    """A Resize of the image, which is on a grid, to the same grid."""
    m = QdqModel(*size, 1)
    pixels = m.node("Transpose", "image", perm=[0, 3, 1, 2])
    grid = m.constant(np.float32(SCALE)), m.constant(np.uint8(ZERO))
    x = m.node("DequantizeLinear", pixels, *grid)
    scales = m.constant(np.array(given["scales"], np.float32)) if "scales" in given else ""
    sizes = [m.constant(np.array(given["sizes"], np.int64))] if "sizes" in given else []
    y = m.quantized(m.node("Resize", x, "", scales, *sizes, **attributes), SCALE, ZERO)
    return m.save(m.node("Flatten", y), folder / "model.onnx")


def check(model: Path, size: tuple[int, int], steps: float) -> IntegerGraph:
    graph = import_graph(model)
    images = np.random.default_rng(0).integers(0, 256, (1, *size, 1)).astype(np.uint8)
    found, expected = oracle.run(graph, images), in_floats(model, images)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= steps * SCALE
    return graph


sides = st.tuples(st.integers(1, 9), st.integers(2, 9))
factors = st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0])


def by_factors_or_sizes(
    size: tuple[int, int], factor: float, wanted: tuple[int, int], by_sizes: bool
) -> dict[str, object]:
    """Sizes, also where a factor would leave no row."""
    if by_sizes or size[0] * factor < 1:
        return {"sizes": [1, 1, *wanted]}
    return {"scales": [1, 1, factor, 2.0]}


@pytest.mark.parametrize("coordinates", [*COORDINATES, "tf_half_pixel_for_nn"])
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(size=sides, factor=factors, rounding=st.sampled_from(ROUNDINGS), wanted=sides, by_sizes=st.booleans())
def test_the_nearest_pixels_are_those_of_onnxruntime(
    coordinates: str,
    size: tuple[int, int],
    factor: float,
    rounding: str,
    wanted: tuple[int, int],
    by_sizes: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    asked = by_factors_or_sizes(size, factor, wanted, by_sizes)
    model = resized(
        tmp_path_factory.mktemp("nearest"),
        size,
        asked,
        mode="nearest",
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    assert any(isinstance(op, Pick) for op in check(model, size, 0.0).operators)


@pytest.mark.parametrize("coordinates", COORDINATES)
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(size=sides, factor=factors, wanted=sides, by_sizes=st.booleans())
def test_between_pixels_it_is_what_onnxruntime_rounds(
    coordinates: str,
    size: tuple[int, int],
    factor: float,
    wanted: tuple[int, int],
    by_sizes: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Within a step: onnxruntime's weights are rounded to float32, and halves may fall to the other side."""
    asked = by_factors_or_sizes(size, factor, wanted, by_sizes)
    folder = tmp_path_factory.mktemp("linear")
    model = resized(folder, size, asked, mode="linear", coordinate_transformation_mode=coordinates)
    assert any(isinstance(op, Interpolate) for op in check(model, size, 1.0).operators)


def test_by_two_it_is_exactly_what_onnxruntime_computes(tmp_path: Path) -> None:
    """Quarters have no rounding: the only halves go to the same even number."""
    model = resized(tmp_path, (16, 16), {"scales": [1, 1, 2, 2]}, mode="linear")
    check(model, (16, 16), 0.0)


def test_what_lies_between_more_than_four_pixels_runs_in_float(tmp_path: Path) -> None:
    model = resized(tmp_path, (8, 8), {"scales": [1, 1, 2, 2]}, mode="cubic")
    assert any(isinstance(op, Island) for op in import_graph(model).operators)


def test_channels_are_not_resized_and_it_says_so(tmp_path: Path) -> None:
    """TVM's float operator left them unchanged."""
    model = resized(tmp_path, (4, 4), {"scales": [1, 2, 1, 1]})
    with pytest.raises(EngineError, match="resizes more than height and width"):
        import_graph(model)
