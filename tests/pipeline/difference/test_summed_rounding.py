"""Errors that add up with depth are told from faults that are small in each of many places."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from pipeline.cli.app import run
from pipeline.difference.compare import compare
from pipeline.difference.decibels import MOST_DB
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.float_activations import float_activations
from pipeline.difference.judged import difference_of
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.rounded_again import rounded_again, rounding_db
from pipeline.difference.side import Array, graph_logits, graph_side
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from tests.pipeline.difference.deep_network import PICTURES, deep, quantised, with_constants
from tests.pipeline.difference.planted_fault import planted_at
from tests.pipeline.difference.small_pair import Pair


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    model = deep(24)
    return model, quantised(model, tmp_path_factory.mktemp("deep"))


@pytest.fixture(scope="module")
def shallow(tmp_path_factory: pytest.TempPathFactory) -> "Networks":
    model = deep(12)
    return model, quantised(model, tmp_path_factory.mktemp("shallow"))


def judged(a: onnx.ModelProto, b: onnx.ModelProto) -> DifferenceReport:
    return difference_of(graph_side(a, "a"), graph_side(b, "b"), PICTURES[:16])


Networks = tuple[onnx.ModelProto, onnx.ModelProto]


def test_a_deep_network_that_rounding_moves_far_is_the_same(sound: Networks) -> None:
    """It was called different below 10 dB, without a finding."""
    found = judged(*sound)
    assert found.logits is not None
    assert found.logits.agreement_db < 10
    assert (found.verdict, found.faults) == (Sameness.ROUNDING, ())
    assert found.restored, "it says which tensors cost most"
    assert found.rounding_db == pytest.approx(found.logits.agreement_db, abs=4)


def test_rounding_that_changes_classes_is_said_first_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was "the same network, rounded", with exit code 0."""
    monkeypatch.chdir(tmp_path)
    model = deep(30)
    onnx.save(quantised(model, tmp_path), "b.onnx")
    Path("pictures").mkdir()
    for number, picture in enumerate(PICTURES):
        cv2.imwrite(f"pictures/{number:02}.png", picture)
    words = ["diff", "model.onnx", "b.onnx", "--image", "pictures"]

    assert run([*words, "--html", "why.html"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert run([*words, "--json"]) == 1
    found = DifferenceReport.model_validate_json(capsys.readouterr().out)

    assert (found.verdict, found.faults) == (Sameness.OTHER_CLASSES, ())
    assert found.changed_classes is not None
    assert found.changed_classes.interval.low > 0.05
    remedy = found.changed_classes.remedy
    assert "Tried in a copy of B on 16 pictures" in remedy
    assert shown.startswith(f"{found.summary} What to do: {remedy}")
    assert found.summary.startswith("B gives another class on ")
    assert found.restored, "it says which tensors cost most"
    page = Path("why.html").read_text()
    assert page.index("What to do: Set") < page.index('<main id="accuracy">')


def test_unrounded_activations_keep_a_relu_that_a_range_stands_for(pair: Pair) -> None:
    folded = planted_at("two", pair.quantised["w8a8_asym_mse_bc"], "range from 0")
    without = float_activations(folded)
    readers = [node.op_type for node in without.graph.node if "two" in node.input]
    assert sorted(readers) == ["QuantizeLinear", "Relu"]


def test_outputs_alone_cannot_tell_such_a_network_from_another(sound: Networks) -> None:
    recorded = graph_logits(sound[0], PICTURES[:16])
    side = replace(graph_side(sound[0], "x.npy"), graph=None, size=None, logits=lambda _: recorded)
    found = difference_of(graph_side(sound[1], "b"), side, PICTURES[:16])
    assert found.verdict is Sameness.NOT_COMPARABLE
    assert "Give both networks" in found.summary


def test_rounding_again_is_the_same_network_with_other_roundings(sound: Networks) -> None:
    graph = read_real_graph(sound[1])
    again = read_real_graph(rounded_again(graph))
    assert compare(sound[1], again.model, PICTURES[:4]).findings == ()
    assert {len(again.all_grids), len(graph.all_grids)} == {len(graph.all_grids)}
    for name, grids in graph.all_grids.items():
        factor = again.all_grids[name][0].scale / grids[0].scale
        assert (factor > 1.029).all()
        assert (factor < 1.101).all()
    assert rounding_db((read_real_graph(sound[0]),), PICTURES[:2]) == MOST_DB


def scales(model: onnx.ModelProto) -> set[str]:
    return {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}


def test_ranges_that_are_all_somewhat_too_wide_are_named(shallow: Networks) -> None:
    """Each leaves 64 steps to its tensor, which is enough at one place."""
    wide = with_constants(shallow[1], lambda name, _: name in scales(shallow[1]), lambda value: 4 * value)
    assert compare(shallow[0], wide, PICTURES[:8]).findings == ()

    found = judged(shallow[0], wide)

    assert found.verdict is Sameness.DIFFERENT
    assert {fault.kind for fault in found.faults} == {FaultKind.COARSE_RANGE}
    assert len(found.faults) > 5
    tried = found.faults[0].tried
    assert tried is not None
    assert tried.after_db > tried.before_db + 6


def of_weights(_: str, value: Array) -> bool:
    return value.dtype == np.int8 and value.ndim > 1


def test_means_that_many_layers_shift_a_little_are_named(shallow: Networks) -> None:
    """A seventh of the weights is one step too small: 2 % of a standard deviation in each layer."""

    def lower(value: Array) -> Array:
        return np.asarray(np.maximum(value - (np.random.default_rng(3).random(value.shape) < 0.15), -127))

    shifted = with_constants(shallow[1], of_weights, lower)
    assert compare(shallow[0], shifted, PICTURES[:8]).findings == ()

    found = judged(shallow[0], shifted)

    assert found.verdict is Sameness.DIFFERENT
    assert {fault.kind for fault in found.faults} == {FaultKind.BIAS_CORRECTION}
    assert "conv0" not in {fault.place for fault in found.faults}, "its inputs have no mean above 0"
    tried = found.faults[0].tried
    assert tried is not None
    assert tried.after_db > tried.before_db + 3


def test_more_than_rounding_costs_is_different_without_a_finding(shallow: Networks) -> None:
    def moved(value: Array) -> Array:
        return np.asarray(np.clip(value + np.random.default_rng(3).choice([-1, 1], value.shape), -127, 127))

    other = with_constants(shallow[1], of_weights, moved)
    assert compare(shallow[0], other, PICTURES[:8]).findings == ()

    found = judged(shallow[0], other)

    assert (found.verdict, found.faults) == (Sameness.DIFFERENT, ())
    assert "rounded a second time" in found.summary
    assert found.restored
