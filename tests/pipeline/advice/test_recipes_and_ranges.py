"""What messages about recipes, ranges and values that are not finite advise: leave out, calibrate again."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.collect import collect
from calibration.errors import CalibrationError
from calibration.foreign_qdq import check_brought
from calibration.onnx_graph import OnnxGraph
from calibration.prepare_float import prepare
from calibration.qdq import quantize
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe
from calibration.tensorrt_cache import save_calibration_cache
from calibration.weight_layers import layer_weights
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.difference.small_pair import SIDE, Pair

SHAPE = (16, 16, 3)
PLAIN = QuantRecipe.parse("w8a8_asym")
SYMMETRIC = QuantRecipe.parse("w8a8_sym")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(TinyResNet(), tmp_path_factory.mktemp("network") / "model.onnx").path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(TinyResNet(projection=True), tmp_path_factory.mktemp("network") / "other.onnx").path


def calibrated(model: Path, recipe: QuantRecipe = PLAIN) -> Ranges:
    return collect(model, [pictures(4, SHAPE)], recipe)


RECIPES = {
    "' out of the recipe": ("w8a8_asym_pix", "w8a8_asym"),
    "cannot be combined: training moves one weight of a pair": ("w8a8_asym_nosat_ada", "w8a8_asym_ada"),
    "Leave one out of the recipe": ("w8a8_asym_wide_widest", "w8a8_asym_wide"),
    "Keep one of each": ("w8a8_asym_mse_mse", "w8a8_asym_mse"),
}


@pytest.mark.parametrize("words", RECIPES)
def test_a_shorter_recipe_helps(words: str) -> None:
    wrong, right = RECIPES[words]
    names = [wrong]
    check_advice(words, lambda: QuantRecipe.parse(names[-1]), lambda: names.append(right), CalibrationError)


def test_an_image_to_calibrate_with_helps(network: Path) -> None:
    images = [pictures(0, SHAPE)]
    check_advice(
        "Give at least one image",
        lambda: collect(network, images, PLAIN),
        lambda: images.append(pictures(1, SHAPE)),
        CalibrationError,
    )


def test_preparing_the_network_helps(network: Path, tmp_path: Path) -> None:
    recipe, models = QuantRecipe.parse("w8a8_asym_eq"), [network]

    def heed() -> None:
        prepare(network, lambda: [pictures(4, SHAPE)], recipe, tmp_path / "prepared.onnx")
        models.append(tmp_path / "prepared.onnx")

    check_advice("Prepare it first", lambda: calibrated(models[-1], recipe), heed, CalibrationError)


def test_calibrating_on_this_network_and_with_this_recipe_helps(
    network: Path, other: Path, tmp_path: Path
) -> None:
    lacking = calibrated(network)
    lacking = Ranges(lacking.model, lacking.recipe, lacking.images, {})
    for words, before in (
        ("Calibrate again on this one", calibrated(other)),
        ("Calibrate again with it", calibrated(network, SYMMETRIC)),
        ("of the model's tensors, among them", lacking),
    ):
        given = [before]
        attempt = partial(lambda given: quantize(network, given[-1], PLAIN, tmp_path / "made.onnx"), given)
        heed = partial(lambda given: given.append(calibrated(network)), given)
        check_advice(words, attempt, heed, CalibrationError)


FILES: dict[str, Callable[[str], str]] = {
    "; this edgec reads": lambda text: text.replace('"version": 1', '"version": 99', 1),
    "Calibrate again to re-create it": lambda text: re.sub(r'("low": )[-0-9.e]+', r"\g<1>1e9", text, count=1),
}


@pytest.mark.parametrize("words", FILES)
def test_calibrating_again_replaces_a_file_of_ranges(words: str, network: Path, tmp_path: Path) -> None:
    file, right = tmp_path / "ranges.json", calibrated(network)
    right.save(file)
    file.write_text(FILES[words](file.read_text()))
    check_advice(words, lambda: Ranges.load(file), lambda: right.save(file), CalibrationError)


def test_symmetric_ranges_make_a_cache_for_tensorrt(network: Path, tmp_path: Path) -> None:
    recipes = [PLAIN]
    check_advice(
        "TensorRT is symmetric. Calibrate with",
        lambda: save_calibration_cache(calibrated(network, recipes[-1]), tmp_path / "cache"),
        lambda: recipes.append(SYMMETRIC),
        CalibrationError,
    )


def with_weight(network: Path, value: float, path: Path) -> Path:
    model = onnx.load(network)
    kernels = next(one for one in model.graph.initializer if len(one.dims) == 4)
    changed = numpy_helper.to_array(kernels).copy()
    changed.flat[0] = value
    kernels.CopyFrom(numpy_helper.from_array(changed, kernels.name))
    onnx.save(model, path)
    return path


def test_a_checkpoint_without_infinite_weights_helps(network: Path, tmp_path: Path) -> None:
    models = [with_weight(network, np.inf, tmp_path / "broken.onnx")]

    def read_weights() -> None:
        graph = OnnxGraph.load(models[-1])
        at = next(i for i, node in enumerate(graph.nodes) if node.op_type == "Conv")
        layer_weights(graph, at, None)

    for words, attempt in (
        ("Check the checkpoint: an infinite or missing weight", lambda: calibrated(models[-1])),
        ("weights or a bias that are not finite. Check the checkpoint", read_weights),
    ):
        check_advice(words, attempt, lambda: models.append(network), CalibrationError)
        models.pop()


def test_quantising_first_helps(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(pair.float_model, file)
    check_advice(
        "has no layer with int8 weights behind a DequantizeLinear. Quantise it first",
        lambda: check_brought(file, PLAIN.scheme, (SIDE, SIDE, 3), 6),
        lambda: onnx.save(pair.quantised["w8a8_asym_mse_bc"], file),
        CalibrationError,
    )
