"""Small residual networks, quantised for TensorRT."""

from pathlib import Path

import pytest

from calibration.collect import collect
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from targets.tensorrt import rtx
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export

SHAPE = (16, 16, 3)

needs_rtx = pytest.mark.skipif(rtx.installed() is None, reason="TensorRT-RTX is not installed (extra jetson)")


@pytest.fixture(scope="session", params=[False, True], ids=["shortcut_a", "projection"])
def float_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorrt")
    return export(TinyResNet(projection=request.param), folder / "model.onnx").path


@pytest.fixture(scope="session")
def int8_model(float_model: Path) -> Path:
    return quantized(float_model, "w8a8_sym")


def quantized(float_model: Path, recipe_name: str) -> Path:
    """Quantise a model that export() made, on made-up pictures."""
    recipe = QuantRecipe.parse(recipe_name)
    output = float_model.with_name(f"{recipe_name}.onnx")
    quantize(float_model, collect(float_model, [pictures(4, SHAPE)], recipe), recipe, output)
    return output
