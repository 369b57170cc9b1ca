from pathlib import Path

import numpy as np
import pytest
import torch

from calibration import learned
from calibration.collect import collect
from calibration.errors import ImagesError
from calibration.fake_quant import FakeQuantized, Rates
from calibration.find_parameters import find_parameters, images_read
from calibration.metrics import closeness
from calibration.onnx_graph import OnnxGraph
from calibration.parameters import Parameters
from calibration.placement import Placement, place
from calibration.produce import produce
from calibration.qdq_writer import write_qdq
from calibration.recipe import QuantRecipe
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported
from tests.exact_session import run_exactly

SCHEMES = pytest.mark.parametrize(
    "name", ["w8a8_asym_mse", "w8a8_asym_mse_res", "w8a8_sym_mse_pix", "w8a8_sym", "w8a8_sym_res"]
)


def _start(exported: Exported, name: str) -> tuple[OnnxGraph, Placement, Parameters]:
    recipe, graph = QuantRecipe.parse(name), OnnxGraph.load(exported.path)
    placement = place(graph, recipe)
    ranges = collect(exported.path, [pictures(32, exported.image_shape)], recipe)
    return graph, placement, find_parameters(graph, placement, ranges, recipe)


@SCHEMES
def test_the_trained_graph_is_what_onnxruntime_runs(exported: Exported, name: str) -> None:
    graph, placement, start = _start(exported, name)
    fresh = pictures(64, exported.image_shape, seed=1)
    with torch.no_grad():
        found = FakeQuantized(graph, placement, start)(fresh)
    expected = run_exactly(write_qdq(graph, placement, start, QuantRecipe.parse(name)), fresh)
    assert closeness(expected, found.numpy()).sqnr_db > 45


@SCHEMES
def test_learning_brings_the_network_closer_on_images_it_has_not_seen(exported: Exported, name: str) -> None:
    graph, placement, start = _start(exported, name)
    better = learned.learn(graph, placement, start, [pictures(128, exported.image_shape)], lambda _: None)
    fresh = pictures(128, exported.image_shape, seed=1)
    reference = run_exactly(exported.path, fresh)
    recipe = QuantRecipe.parse(name)

    def sqnr(parameters: Parameters) -> float:
        found = run_exactly(write_qdq(graph, placement, parameters, recipe), fresh)
        return closeness(reference, found).sqnr_db

    assert sqnr(better) > sqnr(start)


def test_a_weight_moves_one_step_at_most_and_some_do(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "RATES", Rates(weight=0.2))
    graph, placement, start = _start(exported, "w8a8_asym")
    better = learned.learn(graph, placement, start, [pictures(64, exported.image_shape)], lambda _: None)
    moves = [
        np.abs(better.layers[i].weight.values.astype(int) - layer.weight.values.astype(int))
        for i, layer in start.layers.items()
    ]
    assert max(m.max() for m in moves) == 1
    assert all(np.abs(better.layers[i].weight.values.astype(int)).max() <= 127 for i in start.layers)


def test_tensors_with_one_range_keep_one_scale(exported: Exported) -> None:
    graph, placement, start = _start(exported, "w8a8_asym")
    better = learned.learn(graph, placement, start, [pictures(32, exported.image_shape)], lambda _: None)
    for tensor, source in placement.tensors.items():
        same = [t for t, s in placement.tensors.items() if s == source]
        assert {better.grids[t] for t in same} == {better.grids[tensor]}


def test_the_recipe_part_ada_gives_the_same_bytes_each_time(rgb_model: Path, tmp_path: Path) -> None:
    images = pictures(48, (16, 16, 3))
    recipe = QuantRecipe.parse("w8a8_sym_mse_pix_ada")
    first = produce(rgb_model, lambda: [images], recipe, tmp_path).quantized.read_bytes()
    assert produce(rgb_model, lambda: [images], recipe, tmp_path).quantized.read_bytes() == first


def test_without_images_there_is_nothing_to_learn_from(exported: Exported) -> None:
    graph, placement, start = _start(exported, "w8a8_asym")
    with pytest.raises(ImagesError, match="needs calibration images"):
        learned.learn(graph, placement, start, [], lambda _: None)


@pytest.mark.parametrize("name", ["w8a8_asym", "w8a8_asym_bc", "w8a8_sym_obq_ada"])
def test_progress_ends_where_it_was_said_to(rgb_model: Path, name: str) -> None:
    recipe, graph = QuantRecipe.parse(name), OnnxGraph.load(rgb_model)
    seen: list[int] = []
    images = pictures(20, (16, 16, 3))
    ranges = collect(rgb_model, [images], recipe)
    batches = [images[:16], images[16:]]
    find_parameters(graph, place(graph, recipe), ranges, recipe, batches, seen.append)
    assert sum(seen) == images_read(recipe, 20)
