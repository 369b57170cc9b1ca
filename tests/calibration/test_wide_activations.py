"""The choice of activations with 16 bits, and the graph that is written."""

from math import inf
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.collect import collect, images_observed
from calibration.corrections.wide import WideActivations
from calibration.metrics import closeness
from calibration.observers import Range
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.produce import Produced, produce
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe, Scheme
from calibration.wide_activations import Enough, choose_wide
from calibration.wide_candidates import candidates
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from tests.calibration.conftest import pictures
from tests.exact_session import run_exactly

SHAPE = (16, 16, 3)
PLAIN, WIDE, WIDEST = (QuantRecipe.parse(f"w8a8_asym_mse{word}_bc") for word in ("", "_wide", "_widest"))


@pytest.fixture(scope="module")
def made(varied_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Produced]:
    """Of a network that keeps its class in 8 bits too: `wide` is told to take more, for a tenth more time."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WideActivations, "agreement", inf)
        patch.setattr(WideActivations, "budget", 0.1)
        for recipe in (PLAIN, WIDE, WIDEST):
            folder = tmp_path_factory.mktemp(recipe.name)
            found[recipe.name] = produce(varied_model, lambda: [pictures(48, SHAPE)], recipe, folder)
    return found


def test_wide_activations_bring_the_logits_nearer(varied_model: Path, made: dict[str, Produced]) -> None:
    images = pictures(64, SHAPE, seed=1)
    expected = run_exactly(varied_model, images)
    plain, wide, widest = (
        closeness(expected, run_exactly(one.quantized, images)).sqnr_db for one in made.values()
    )
    assert plain + 0.5 < wide < widest
    assert 0 < len(made[WIDE.name].ranges.wide) < len(made[WIDEST.name].ranges.wide)


def test_an_engine_computes_what_onnxruntime_does(made: dict[str, Produced]) -> None:
    images = pictures(64, SHAPE, seed=1)
    for one in made.values():
        graph = import_graph(one.quantized)
        wide = [t for op in graph.operators for t in op.inputs if getattr(t, "wide", False)]
        assert bool(wide) == bool(one.ranges.wide)
        # A sum that is nearly a half is rounded to either side, as float32 happens to fall.
        assert closeness(run_exactly(one.quantized, images), oracle.run(graph, images)).sqnr_db > 40


def test_the_graph_is_standard_and_says_uint16(made: dict[str, Produced]) -> None:
    model = onnx.load(made[WIDE.name].quantized)
    onnx.checker.check_model(model, full_check=True)
    assert (model.opset_import[0].version, model.ir_version) == (21, 10)
    kinds = {i.name: numpy_helper.to_array(i).dtype for i in model.graph.initializer}
    zeros = {n.input[0]: kinds[n.input[2]] for n in model.graph.node if n.op_type == "QuantizeLinear"}
    assert {name for name, kind in zeros.items() if kind == np.uint16} == set(made[WIDE.name].ranges.wide)
    assert onnx.load(made[PLAIN.name].quantized).opset_import[0].version == 17


def test_the_choice_is_kept_with_the_ranges(made: dict[str, Produced], tmp_path: Path) -> None:
    for name, one in made.items():
        one.ranges.save(tmp_path / "ranges.json")
        assert Ranges.load(tmp_path / "ranges.json") == one.ranges
        assert ('"wide"' in (tmp_path / "ranges.json").read_text()) == (name != PLAIN.name)


def test_tensors_that_tables_or_moves_have_to_do_with_stay_narrow(varied_model: Path) -> None:
    graph = OnnxGraph.load(varied_model)
    able = set(candidates(graph, place(graph, WIDE)))
    assert able
    for name in able:
        for edge in graph.consumers(name):
            assert graph.nodes[edge.node].op_type in {
                "Conv",
                "Gemm",
                "Add",
                "Mul",
                "ReduceMean",
                "AveragePool",
            }
    narrow = {n.input[0] for n in graph.nodes if n.op_type in ("PRelu", "Erf", "Split", "Concat", "Resize")}
    assert not able & narrow


def test_what_is_expected_is_said_with_the_ranges(made: dict[str, Produced]) -> None:
    wide, widest = made[WIDE.name].ranges, made[WIDEST.name].ranges
    assert f" {len(wide.wide)} of {len(widest.wide)} activations have 16" in wide.outlook
    assert "`widest` in place of `wide`: " in wide.outlook
    assert made[PLAIN.name].ranges.outlook == ""


def test_costs_stay_within_the_budget(varied_model: Path) -> None:
    graph = OnnxGraph.load(varied_model)
    able = set(candidates(graph, place(graph, WIDE)))
    counts = [len(_chosen(graph, varied_model, Enough(budget, inf))) for budget in (0.0, 0.02, 0.1, 100.0)]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[1] < counts[2] < counts[3] <= len(able)


def test_no_more_is_taken_than_keeps_enough_classes(varied_model: Path) -> None:
    """With grids so coarse that classes change."""
    graph = OnnxGraph.load(varied_model)
    shares = (0.0, 0.9, 0.99, 0.999, inf)
    counts = [len(_chosen(graph, varied_model, Enough(100.0, share), coarser=500.0)) for share in shares]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert any(0 < count < counts[-1] for count in counts)


def _chosen(graph: OnnxGraph, model: Path, enough: Enough, coarser: float = 1.0) -> tuple[str, ...]:
    images = pictures(16, SHAPE)
    found = collect(model, [images], PLAIN).tensors
    ranges = {name: Range(coarser * one.low, coarser * one.high) for name, one in found.items()}
    return choose_wide(
        graph, place(graph, WIDE), Scheme.ASYM, ranges, [images], lambda _: None, enough
    ).tensors


def test_a_layer_whose_sums_could_leave_int32_reads_8_bits(varied_model: Path) -> None:
    """Weights of one size: each takes the whole of int8, so that few fit."""
    graph = OnnxGraph.load(varied_model)
    able = set(candidates(graph, place(graph, WIDE)))
    layer = next(n for n in graph.nodes if n.op_type == "Conv" and n.input[0] in able)
    weight = graph.constant(layer.input[1])
    assert weight is not None
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    equal = np.ones((len(weight), 4096, 1, 1), np.float32)
    stored = next(i for i in model.graph.initializer if i.name == layer.input[1])
    stored.CopyFrom(numpy_helper.from_array(equal, stored.name))
    other = OnnxGraph(model)
    assert layer.input[0] not in set(candidates(other, place(graph, WIDE)))


def test_progress_counts_the_images_that_are_read_again(varied_model: Path) -> None:
    seen = list[int]()
    collect(varied_model, [pictures(20, SHAPE)], WIDE, seen.append)
    assert sum(seen) == images_observed(WIDE, 20) == 40


def test_sizes_that_are_not_known_are_a_note(varied_model: Path, tmp_path: Path) -> None:
    """The build goes on in 8 bits, and says why."""
    model = onnx.load(varied_model)
    for dim in list(model.graph.input[0].type.tensor_type.shape.dim)[1:3]:
        dim.dim_param = "side"
    onnx.save(model, tmp_path / "any.onnx")
    found = collect(tmp_path / "any.onnx", [pictures(4, SHAPE)], WIDE)
    assert found.wide == ()
    assert found.left_out[0].startswith("wide: the size of ")
