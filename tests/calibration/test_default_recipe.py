"""The default recipe depends on the network's operators alone."""

from pathlib import Path

import pytest

from calibration.default_recipe import recipe_for
from calibration.onnx_graph import OnnxGraph
from calibration.recipe import QuantRecipe
from tests.calibration.residual_networks import Exported

USUAL = [QuantRecipe.parse("w8a8_asym_mse_res_wmse_obq_bc"), QuantRecipe.parse("w8a8_sym_mse_wmse_obq_bc")]


@pytest.mark.parametrize("usual", USUAL, ids=lambda recipe: recipe.name)
def test_a_residual_network_has_the_targets_own(exported: Exported, usual: QuantRecipe) -> None:
    assert recipe_for(OnnxGraph.load(exported.path), usual, reads_wide=True) == usual


@pytest.mark.parametrize("usual", USUAL, ids=lambda recipe: recipe.name)
def test_a_network_with_depthwise_convolutions_has_one_that_knows_its_inputs(
    varied_model: Path, usual: QuantRecipe
) -> None:
    chosen = recipe_for(OnnxGraph.load(varied_model), usual, reads_wide=False)
    assert chosen.scheme is usual.scheme
    assert {"eq", "sens", "wmse", "obq", "bc"} <= chosen.corrections


def test_16_bits_take_the_place_of_rescaled_channels(varied_model: Path) -> None:
    chosen = recipe_for(OnnxGraph.load(varied_model), USUAL[0], reads_wide=True)
    assert "wide" in chosen.corrections
    assert "eq" not in chosen.corrections


@pytest.mark.parametrize("reads_wide", [False, True])
def test_16_bits_are_for_targets_that_read_them(varied_model: Path, reads_wide: bool) -> None:
    """TensorRT always computes in FP16."""
    graph = OnnxGraph.load(varied_model)
    asym, sym = (recipe_for(graph, usual, reads_wide) for usual in USUAL)
    assert ("wide" in asym.corrections) == reads_wide
    assert "wide" in sym.corrections
