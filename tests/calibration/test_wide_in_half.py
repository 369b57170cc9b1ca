"""Activations that stay without Q/DQ under w8a8_sym, so that TensorRT computes what reads them in FP16."""

from dataclasses import replace
from math import inf
from pathlib import Path

import onnx
import pytest

from calibration.collect import collect
from calibration.corrections.wide import WideActivations
from calibration.explore.sensitivity import LayerComparison, layers_in_8_bits
from calibration.lint import lint
from calibration.metrics import closeness
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.produce import Produced, produce
from calibration.qdq import quantize
from calibration.qdq_writer import FLOAT_LAYERS, WIDE
from calibration.recipe import QuantRecipe, Scheme
from calibration.wide_activations import Enough, wide_tensors
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported
from tests.exact_session import run_exactly

SHAPE = (16, 16, 3)
PLAIN, IN_HALF = (QuantRecipe.parse(f"w8a8_sym_mse{word}_bc") for word in ("", "_wide"))


@pytest.fixture(scope="module")
def made(varied_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Produced]:
    """Of a network that keeps its class in 8 bits too: `wide` is told that this is not enough."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WideActivations, "agreement", inf)
        for recipe in (PLAIN, IN_HALF):
            folder = tmp_path_factory.mktemp(recipe.name)
            found[recipe.name] = produce(varied_model, lambda: [pictures(48, SHAPE)], recipe, folder)
    return found


def test_the_logits_come_nearer(varied_model: Path, made: dict[str, Produced]) -> None:
    images = pictures(64, SHAPE, seed=1)
    expected = run_exactly(varied_model, images)
    plain, half = (closeness(expected, run_exactly(one.quantized, images)).sqnr_db for one in made.values())
    assert plain + 0.5 < half
    assert made[PLAIN.name].ranges.wide == ()


def test_a_chosen_tensor_has_no_q_and_what_reads_it_has_float_weights(made: dict[str, Produced]) -> None:
    one = made[IN_HALF.name]
    assert one.ranges.wide
    graph = OnnxGraph.load(one.quantized)
    rounded = {node.input[0] for node in graph.nodes if node.op_type == "QuantizeLinear"}
    assert not rounded & set(one.ranges.wide)
    readers = [graph.nodes[e.node] for name in one.ranges.wide for e in graph.consumers(name)]
    layers = [node for node in readers if node.op_type == "Conv"]
    assert layers
    assert all(graph.is_constant(node.input[1]) for node in layers)
    others = [node for node in graph.nodes if node.op_type == "Conv" and node not in layers]
    assert all(not graph.is_constant(node.input[1]) for node in others)


def test_the_graph_names_what_is_in_float_on_purpose(made: dict[str, Produced]) -> None:
    """Without that its rules would call it a mistake."""
    model = onnx.load(made[IN_HALF.name].quantized)
    noted = {p.key: p.value.splitlines() for p in model.metadata_props}
    assert set(noted[WIDE]) <= set(noted[FLOAT_LAYERS])
    assert lint(made[IN_HALF.name].quantized, Scheme.SYM, noted[FLOAT_LAYERS]) == []
    assert {finding.node for finding in lint(made[IN_HALF.name].quantized, Scheme.SYM)} <= set(noted[WIDE])
    assert lint(made[IN_HALF.name].quantized, Scheme.SYM)
    assert WIDE not in {p.key for p in onnx.load(made[PLAIN.name].quantized).metadata_props}


def test_every_tensor_of_a_residual_network_can_stay_in_float(exported: Exported, tmp_path: Path) -> None:
    """Identities, pools and data movement too: each alone, and all."""
    graph, recipe = OnnxGraph.load(exported.path), QuantRecipe(Scheme.SYM)
    images = [pictures(4, exported.image_shape)]
    ranges = collect(exported.path, images, recipe)
    observed = place(graph, recipe).observed
    for wide in ((), *((name,) for name in observed), observed):
        quantize(exported.path, replace(ranges, wide=tuple(wide)), recipe, tmp_path / "q.onnx")
        left = [n for n in OnnxGraph.load(tmp_path / "q.onnx").nodes if n.op_type == "QuantizeLinear"]
        moved = [t for t, source in place(graph, recipe).tensors.items() if source not in wide]
        assert sorted(node.input[0] for node in left) == sorted(moved)
    assert closeness(*(run_exactly(m, images[0]) for m in (exported.path, tmp_path / "q.onnx"))).sqnr_db > 100


def test_costs_stay_within_the_budget(varied_model: Path) -> None:
    graph = OnnxGraph.load(varied_model)
    images = [pictures(16, SHAPE)]
    placement, ranges = place(graph, PLAIN), collect(varied_model, images, PLAIN).tensors
    counts = [
        len(wide_tensors(graph, placement, Scheme.SYM, ranges, images, lambda _: None, Enough(budget, inf)))
        for budget in (0.0, 0.05, 0.3, 100.0)
    ]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[1] < counts[2] < counts[3] <= len(placement.observed)


def test_the_sensitivity_is_of_the_layers_that_are_left(made: dict[str, Produced]) -> None:
    one = made[IN_HALF.name]
    names = layers_in_8_bits(one.float_model, one.ranges, IN_HALF)
    assert 0 < len(names) < len(layers_in_8_bits(one.float_model, made[PLAIN.name].ranges, PLAIN))
    comparison = LayerComparison(one, IN_HALF, lambda: [pictures(8, SHAPE, seed=1)])
    found = [comparison.distances(position) for position in range(len(names))]
    assert len(found) == len(names)
