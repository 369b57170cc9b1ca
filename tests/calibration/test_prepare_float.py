from pathlib import Path

import pytest

from calibration.collect import collect
from calibration.errors import ModelError
from calibration.prepare_float import prepare
from calibration.recipe import QuantRecipe
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported

RECIPE = QuantRecipe.parse("w8a8_asym_mse_eq_obq_bc")


@pytest.fixture(scope="module")
def prepared(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prepared") / "prepared.onnx"
    prepare(exported.path, lambda: [pictures(4, exported.image_shape)], RECIPE, file)
    return file


def test_a_recipe_that_wants_a_prepared_model_says_so(exported: Exported) -> None:
    with pytest.raises(ModelError, match="has not been prepared"):
        collect(exported.path, [pictures(2, exported.image_shape)], RECIPE)


@pytest.mark.parametrize("other", ["w8a8_sym_eq", "w8a8_sym_ctr", "w8a8_sym_eq_ctr"])
def test_a_model_prepared_for_something_else_is_refused(
    exported: Exported, prepared: Path, other: str
) -> None:
    with pytest.raises(ModelError, match="prepared for w8a8_asym_eq"):
        collect(prepared, [pictures(4, exported.image_shape)], QuantRecipe.parse(other))


def test_a_prepared_model_serves_every_recipe_that_prepares_the_same(rgb_model: Path, tmp_path: Path) -> None:
    images = pictures(4, (16, 16, 3))
    prepare(rgb_model, lambda: [images], RECIPE, tmp_path / "prepared.onnx")
    assert collect(tmp_path / "prepared.onnx", [images], QuantRecipe.parse("w8a8_asym_eq")).tensors
