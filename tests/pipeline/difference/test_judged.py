"""A program that leaves its graph is different, unless only onnxruntime's float scales make it so."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from pipeline.difference.judged import difference_of
from pipeline.difference.side import Array, Pictures, Side, graph_side
from pipeline.report.model.difference_report import Sameness
from pipeline.report.pages.difference_page import difference_html
from tests.pipeline.difference.small_pair import Pair, network, pictures

RECIPE = "w8a8_asym_mse_bc"


def noisy(side: Side, spread: float) -> Side:
    """Return a side whose program adds noise to its graph's logits."""

    def logits(pictures: Pictures) -> Array:
        exact = side.logits(pictures)
        noise: Array = np.random.default_rng(0).normal(0, spread * exact.std(), exact.shape)
        return (exact + noise).astype(np.float32)

    return replace(side, name="program", logits=logits)


@pytest.mark.parametrize("spread", [0.03, 0.5])
def test_an_engine_with_the_bits_that_its_graph_defines_is_the_same(pair: Pair, spread: float) -> None:
    graph = graph_side(pair.quantised[RECIPE], "graph")
    engine = replace(noisy(graph, spread), is_exact=lambda _: True)

    for found in (difference_of(graph, engine, pair.pictures), difference_of(engine, graph, pair.pictures)):
        assert (found.verdict, found.faults) == (Sameness.ROUNDING, ())
        assert any("Its logits have every bit" in note for note in found.notes)


@pytest.mark.parametrize("is_exact", [None, lambda _: False])
def test_a_program_that_leaves_its_graph_is_different(pair: Pair, is_exact: None) -> None:
    graph = graph_side(pair.quantised[RECIPE], "graph")
    found = difference_of(graph, replace(noisy(graph, 0.03), is_exact=is_exact), pair.pictures)
    assert found.verdict is Sameness.DIFFERENT
    assert any("changes what the graph says" in note for note in found.notes)


def test_exact_bits_do_not_excuse_a_float_network_that_is_far_away(pair: Pair) -> None:
    graph = graph_side(pair.quantised[RECIPE], "graph")
    engine = replace(noisy(graph, 2.0), is_exact=lambda _: True)
    found = difference_of(graph_side(pair.float_model, "float"), engine, pair.pictures)
    assert found.verdict is Sameness.DIFFERENT


@pytest.mark.parametrize("turned", [False, True])
def test_programs_of_which_one_gives_no_numbers_are_not_the_same(pair: Pair, turned: bool) -> None:
    graph = graph_side(pair.float_model, "graph")

    def logits(pictures: Pictures) -> Array:
        found = graph.logits(pictures).copy()
        found[0, found[0].argmax()] = np.nan
        return found

    sound = replace(graph, graph=None, name="sound")
    broken = replace(sound, name="broken", logits=logits)
    first, second = (broken, sound) if turned else (sound, broken)
    found = difference_of(first, second, pair.pictures)
    assert found.verdict is Sameness.DIFFERENT
    assert found.logits is not None
    assert found.logits.same_class == pytest.approx(1 - 1 / len(pair.pictures))
    assert any("broken: the logits of 1 of 8 pictures are not numbers" in note for note in found.notes)


def test_logits_alone_that_agree_to_15_db_are_not_called_rounded(pair: Pair) -> None:
    graph = graph_side(pair.float_model, "graph")
    recorded = replace(noisy(graph, 0.18), graph=None, size=None)
    found = difference_of(graph, recorded, pair.pictures)
    assert found.verdict is Sameness.DIFFERENT
    assert "Only the outputs could be compared" in found.summary


def test_the_page_leaves_names_as_they_are(pair: Pair) -> None:
    """A folder `rec` was `Rec`, and the note ended with two full stops."""
    graph = graph_side(pair.float_model, "graph")
    found = difference_of(
        graph, replace(noisy(graph, 0.18), name="rec", graph=None, size=None), pair.pictures
    )
    page = difference_html(found)
    assert '<p class="note">rec: only the outputs can be compared. Give the network itself to look' in page
    assert "inside..</p>" not in page


@pytest.mark.parametrize(("constant", "change"), [("mean", 1.0), ("stem.w", 0.001)])
def test_between_floats_the_first_layer_has_to_be_exact_too(constant: str, change: float) -> None:
    """Both change the first layer by less than rounding to 8 bits does, but nothing here rounds."""
    sound, other = network(resizes=False), network(resizes=False)
    tensor = next(one for one in other.graph.initializer if one.name == constant)
    values = onnx.numpy_helper.to_array(tensor)
    noise = np.random.default_rng(0).choice([-1, 1], values.shape) if constant == "stem.w" else 1
    tensor.CopyFrom(onnx.numpy_helper.from_array((values + change * noise).astype(np.float32), constant))
    found = difference_of(graph_side(sound, "a"), graph_side(other, "b"), pictures(4))
    assert found.verdict is Sameness.DIFFERENT
    assert {fault.place for fault in found.faults} <= {"planes", "stem"}
