"""16 bits for activations of a network that has been quantised to 8."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.metrics import closeness
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.produce import produce
from calibration.qdq import save_quantized
from calibration.qdq_reader import read_parameters
from calibration.recipe import QuantRecipe
from calibration.scheme import Scheme
from calibration.wide_candidates import candidates
from calibration.widened import widenable, with_wide
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from tests.calibration.conftest import pictures
from tests.exact_session import run_exactly

RECIPE = QuantRecipe.parse("w8a8_asym_mse_bc")
IMAGES = pictures(48, (16, 16, 3))


@pytest.fixture(scope="module")
def quantised(varied_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return produce(varied_model, lambda: [IMAGES], RECIPE, tmp_path_factory.mktemp("wide")).quantized


def test_none_under_the_scheme_of_tensorrt(varied_model: Path, quantised: Path) -> None:
    graph = OnnxGraph.load(varied_model)
    placement = place(graph, RECIPE)
    parameters = read_parameters(quantised, graph, placement)
    assert widenable(graph, placement, parameters, Scheme.ASYM) == set(candidates(graph, placement))
    assert widenable(graph, placement, parameters, Scheme.SYM) == frozenset()


def test_a_bias_that_would_leave_int32_keeps_its_input_in_8_bits(varied_model: Path, quantised: Path) -> None:
    graph = OnnxGraph.load(varied_model)
    placement = place(graph, RECIPE)
    parameters = read_parameters(quantised, graph, placement)
    able = widenable(graph, placement, parameters, Scheme.ASYM)
    index = next(i for i in placement.layers if graph.nodes[i].input[0] in able)
    huge = replace(parameters.layers[index], bias=np.full_like(parameters.layers[index].bias, 1e9))
    other = replace(parameters, layers=parameters.layers | {index: huge})
    assert graph.nodes[index].input[0] not in widenable(graph, placement, other, Scheme.ASYM)


@pytest.mark.parametrize("seed", range(6))
def test_an_engine_computes_any_mixture(
    varied_model: Path, quantised: Path, seed: int, tmp_path: Path
) -> None:
    """Layers in float and inputs of 16 bits next to each other, chosen at random."""
    graph, rng = OnnxGraph.load(varied_model), np.random.default_rng(seed)
    whole = place(graph, RECIPE)
    parameters = read_parameters(quantised, graph, whole)
    able = sorted(widenable(graph, whole, parameters, Scheme.ASYM))
    in_float = [graph.nodes[i].name for i in whole.layers if rng.random() < 0.3]
    wide = [name for name in able if rng.random() < 0.5]
    path = tmp_path / "mixed.onnx"
    save_quantized(graph, place(graph, RECIPE, in_float), with_wide(parameters, wide), RECIPE, path)
    found, expected = oracle.run(import_graph(path), IMAGES), run_exactly(path, IMAGES)
    assert closeness(expected, found).sqnr_db > 40
    assert closeness(run_exactly(varied_model, IMAGES), found).sqnr_db > 15
