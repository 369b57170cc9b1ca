from pathlib import Path

import numpy as np
import pytest

from calibration.errors import ModelError
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.produce import produce
from calibration.qdq_reader import read_parameters
from calibration.qdq_writer import write_qdq
from calibration.recipe import QuantRecipe
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported


@pytest.mark.parametrize("name", ["w8a8_asym_mse", "w8a8_sym_mse_pix_obq_bc"])
def test_what_was_written_is_read_back_and_writes_the_same_model(
    exported: Exported, name: str, tmp_path: Path
) -> None:
    recipe = QuantRecipe.parse(name)
    made = produce(exported.path, lambda: [pictures(16, exported.image_shape)], recipe, tmp_path)
    graph = OnnxGraph.load(made.float_model)
    placement = place(graph, recipe)
    found = read_parameters(made.quantized, graph, placement)
    again = write_qdq(graph, placement, found, recipe)
    assert again.SerializeToString(deterministic=True) == made.quantized.read_bytes()
    assert all(layer.weight.values.dtype == np.int8 for layer in found.layers.values())


def test_a_model_of_another_recipe_is_refused(rgb_model: Path, tmp_path: Path) -> None:
    made = produce(rgb_model, lambda: [pictures(8, (16, 16, 3))], QuantRecipe.parse("w8a8_sym"), tmp_path)
    other = QuantRecipe.parse("w8a8_asym")
    graph = OnnxGraph.load(rgb_model)
    with pytest.raises(ModelError, match="was not made from this float model by this recipe"):
        read_parameters(made.quantized, graph, place(graph, other))
