"""The explanation of a picture, compared with networks that are put together by hand."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from scipy.spatial.distance import cosine

from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.data.open import open_dataset
from pipeline.data.picture_files import read_picture
from pipeline.difference.compare import NetworkComparison, compare
from pipeline.difference.float_activations import float_activations
from pipeline.difference.observed import tensor_values
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.side import graph_logits
from pipeline.errors import ReportError
from pipeline.explanation.asked_picture import asked_picture
from pipeline.explanation.contest import ClassContest, contest_of
from pipeline.explanation.explained import Wanted, explain
from pipeline.explanation.labelled_images import features_of, labelled_pool, near_images, usual_margins
from pipeline.explanation.layer_effects import clipped_tensors, layer_effects
from pipeline.explanation.more_bits import float_weights, rewritten_float, wider_networks
from pipeline.explanation.opened_build import open_build
from pipeline.explanation.reason import cause_of
from pipeline.progress import Silent
from pipeline.report.model.image_explanation import Cause, UsualMargins
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.difference.small_pair import Pair, pictures
from tests.pipeline.explanation.built_pair import NAMES, RECIPE, BuiltPair, built_pair

LAYERS = ("stem", "one", "two", "down", "last", "logits")


@pytest.fixture(scope="module")
def built(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> BuiltPair:
    return built_pair(pair, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def compared(pair: Pair) -> NetworkComparison:
    return compare(pair.float_model, pair.quantised[RECIPE], pair.pictures)


@pytest.fixture(scope="module")
def contest(pair: Pair) -> ClassContest:
    fp32, int8 = (graph_logits(one, pair.pictures[:1])[0] for one in (pair.float_model, quantised(pair)))
    return contest_of(fp32, int8)


def quantised(pair: Pair) -> onnx.ModelProto:
    return pair.quantised[RECIPE]


def with_layer_in_float(pair: Pair, layer: str) -> onnx.ModelProto:
    """The Q/DQ graph in which one layer reads the float tensor and has float weights."""
    model = onnx.ModelProto()
    model.CopyFrom(quantised(pair))
    producers = {name: node for node in model.graph.node for name in node.output}
    node, own = producers[layer], next(n for n in pair.float_model.graph.node if n.output[0] == layer)
    quantiser = producers[producers[node.input[0]].input[0]]
    weights = next(one for one in pair.float_model.graph.initializer if one.name == own.input[1])
    biases = next(one for one in pair.float_model.graph.initializer if one.name == own.input[2])
    node.input[0] = quantiser.input[0]
    for place, value in ((1, weights), (2, biases)):
        node.input[place] = f"float/{value.name}"
        model.graph.initializer.append(
            numpy_helper.from_array(numpy_helper.to_array(value), node.input[place])
        )
    return model


@pytest.mark.parametrize("layer", LAYERS[1:])
def test_a_layer_in_float_is_the_network_that_has_it_in_float(
    layer: str, pair: Pair, compared: NetworkComparison, contest: ClassContest
) -> None:
    found = {one.layer: one for one in layer_effects(compared, contest)}
    wanted = contest.margin(graph_logits(with_layer_in_float(pair, layer), pair.pictures[:1])[0])
    assert found[layer].alone == pytest.approx(wanted, abs=1e-4)


def test_all_layers_in_float_are_the_float_network(
    pair: Pair, compared: NetworkComparison, contest: ClassContest
) -> None:
    found = {one.layer: one for one in layer_effects(compared, contest)}
    float_margin = contest.margin(graph_logits(pair.float_model, pair.pictures[:1])[0])
    assert tuple(found) == LAYERS
    assert found["logits"].up_to_here == pytest.approx(float_margin, abs=1e-5)
    assert found["stem"].alone == pytest.approx(found["stem"].up_to_here)


def test_layers_are_those_of_the_float_network_that_the_recipe_rewrites(pair: Pair, tmp_path: Path) -> None:
    """Equalised channels have other values on purpose."""
    onnx.save(pair.float_model, tmp_path / "model.onnx")
    name = "w8a8_sym_mse_eq_bc"
    images = pictures(16)
    rewritten = rewritten_float(tmp_path / "model.onnx", name, lambda: iter([images]), Silent())
    assert rewritten is not None
    int8 = pair.quantised[name]
    fp32, rounded = (graph_logits(one, pair.pictures[:1])[0] for one in (pair.float_model, int8))
    contest = contest_of(fp32, rounded)

    found = compare(rewritten, int8, pair.pictures)
    effects = layer_effects(found, contest)

    assert (found.rescaled, compare(pair.float_model, int8, pair.pictures).rescaled) != ({}, {})
    assert found.rescaled == {}
    assert effects[-1].up_to_here == pytest.approx(contest.margin(fp32), abs=1e-4)
    assert None not in [one.alone for one in effects]
    assert float_weights(found.sides)[1:] == (5, 6)


@pytest.mark.parametrize("own", [True, False])
def test_gains_are_estimated_where_the_images_are_not_those_of_the_build(
    own: bool, pair: Pair, tmp_path: Path
) -> None:
    name = "w8a8_sym_mse_eq_bc"
    folder = built_pair(pair, tmp_path).sound
    dataset = open_dataset(tmp_path / "data")
    onnx.save(pair.quantised[name], folder / "model.int8.onnx")
    opened = open_build(folder)
    images = dataset.split("calibration").stratified(12)
    if own:
        batches = [batch.images for batch in images.batches(opened.preprocessing, 16)]
        made = produce(opened.float_path, lambda: iter(batches), QuantRecipe.parse(name), tmp_path)
        opened = replace(opened, int8_model=onnx.load(made.quantized))
    digest = images.digest if own else 64 * "0"
    opened = replace(opened, subject=opened.subject.replace(recipe=name, calibration_digest=digest))
    asked = asked_picture(tmp_path / "picture.png", opened.preprocessing, None)

    found = explain(opened, asked, Wanted(dataset, 20, tries=False), Silent())

    assert any("gains that were estimated" in note for note in found.notes) is not own
    assert any("weights in float" in one.change for one in found.more_bits) is own
    assert not any("more than rounding" in note for note in found.notes)
    assert None not in [one.alone for one in found.layers]


def test_a_recipe_that_rewrites_nothing_has_no_other_float_network(tmp_path: Path) -> None:
    assert rewritten_float(tmp_path / "not.read", RECIPE, lambda: iter([]), Silent()) is None


def test_float_weights_and_float_activations_make_the_float_network(
    pair: Pair, compared: NetworkComparison
) -> None:
    """But for the first layer, which takes in the picture's normalisation."""
    without, layers, known = float_weights(compared.sides)
    uncorrected = float_activations(without)
    assert (layers, known) == (5, 6)
    both, int8, fp32 = (
        graph_logits(m, pair.pictures) for m in (uncorrected, quantised(pair), pair.float_model)
    )
    assert np.abs(both - fp32).mean() < 0.5 * np.abs(int8 - fp32).mean()


def test_activations_in_float_leave_the_rounded_weights(pair: Pair) -> None:
    changed = float_activations(quantised(pair))
    real = read_real_graph(quantised(pair))
    by_hand = onnx.ModelProto()
    by_hand.CopyFrom(quantised(pair))
    del by_hand.graph.node[:], by_hand.graph.initializer[:]
    for node in real.nodes:
        kept = by_hand.graph.node.add()
        kept.CopyFrom(node.proto)
        del kept.input[:]
        kept.input.extend(node.inputs)
    by_hand.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(v), n) for n, v in real.constants.items()
    )
    np.testing.assert_allclose(
        graph_logits(changed, pair.pictures), graph_logits(by_hand, pair.pictures), atol=1e-4
    )


def test_16_bit_activations_come_nearer_to_the_float_network(pair: Pair, built: BuiltPair) -> None:
    images = [pair.pictures]
    tried = dict(wider_networks(built.sound / "model.onnx", RECIPE, lambda: iter(images), 8, Silent()))
    (name, network), *_ = ((n, m) for n, m in tried.items() if "widest" in n)
    assert network is not None, name
    wide, int8, fp32 = (graph_logits(m, pair.pictures) for m in (network, quantised(pair), pair.float_model))
    assert np.abs(wide - fp32).mean() < np.abs(int8 - fp32).mean()


def test_for_a_gpu_16_bits_are_fp16_and_not_for_all(pair: Pair, built: BuiltPair) -> None:
    images = [pair.pictures]
    tried = list(
        wider_networks(built.sound / "model.onnx", "w8a8_sym_mse", lambda: iter(images), 8, Silent())
    )
    (wide, network), (widest, none) = tried
    assert network is None or "activations in FP16" in wide
    assert none is None
    assert "was not tried" in widest
    assert "w8a8_sym" in widest


def test_the_nearest_images_are_those_of_scipy(pair: Pair, built: BuiltPair) -> None:
    asked = read_picture(built.picture, 3)
    fp32 = graph_logits(pair.float_model, asked[None])[0]
    contest = contest_of(fp32, fp32)
    pool = labelled_pool(open_dataset(built.data), contest, 20, Preprocessing(24, 24, 3), asked)
    assert pool is not None
    assert not any(np.array_equal(one, asked) for one in pool.pixels)
    assert set(pool.labels.tolist()) <= {contest.first, contest.second}
    graph = read_real_graph(pair.float_model)
    values = tensor_values(graph, np.concatenate([asked[None], pool.pixels]))["features"]
    features = features_of(graph, np.concatenate([asked[None], pool.pixels]))
    np.testing.assert_allclose(features, values, rtol=1e-4, atol=1e-5)

    near, votes, counted = near_images(pool, features[1:], features[0], contest, NAMES)

    distances = {n: cosine(values[0], one) for n, one in zip(pool.names, values[1:], strict=True)}
    for label in (contest.first, contest.second):
        ours = [one for one in near if one.label == NAMES[label]]
        of_class = [n for n, own in zip(pool.names, pool.labels, strict=True) if own == label]
        assert [one.name for one in ours] == sorted(of_class, key=lambda n: distances[n])[: len(ours)]
        assert [one.cosine for one in ours] == pytest.approx([1 - distances[o.name] for o in ours], abs=1e-5)
    assert 0 <= votes <= counted <= 10


def test_values_far_outside_the_calibrated_range_are_named(pair: Pair) -> None:
    extreme = np.zeros_like(pair.pictures[:1])
    extreme[:, ::2] = 255
    found = compare(pair.float_model, quantised(pair), np.concatenate([extreme, pair.pictures]))
    rows = clipped_tensors(found.sides)
    assert rows
    assert all(row.share > row.usual_share for row in rows)
    assert clipped_tensors(compare(pair.float_model, quantised(pair), pair.pictures[[0] * 4]).sides) == ()


def test_a_margin_is_weighed_against_what_is_usual() -> None:
    fp32 = np.array([[3.0, 1.0], [2.0, 1.0], [1.0, 4.0]])
    int8 = np.array([[2.5, 1.0], [2.0, 1.1], [1.0, 4.0]])  # margins 2 to 1.5, 1 to 0.9, 3 to 3
    usual = usual_margins(-0.2, 1.0, fp32, int8)
    assert usual.images == 3
    assert usual.smaller_share == pytest.approx(1 / 3)
    assert usual.as_changed_share == pytest.approx(1 / 3)
    assert usual.largest_usual_change == pytest.approx(np.percentile([0.5, 0.1, 0.0], 95))


USUAL = UsualMargins(images=100, smaller_share=0.1, largest_usual_change=0.3, as_changed_share=0.2)


@pytest.mark.parametrize(
    ("flipped", "fp32", "int8", "usual", "cause"),
    [
        (False, 2.0, 1.0, USUAL, Cause.SAME_CLASS),
        (True, 0.1, -0.1, USUAL, Cause.CLOSE_CALL),
        (True, 0.1, -0.1, USUAL.replace(smaller_share=0.8), Cause.COARSE_BUILD),
        (True, 0.1, -0.3, USUAL, Cause.UNUSUAL_CHANGE),
        (True, 0.1, -0.1, None, Cause.NOT_WEIGHED),
    ],
)
def test_the_cause_is_a_small_margin_or_a_large_change(
    flipped: bool, fp32: float, int8: float, usual: UsualMargins | None, cause: Cause
) -> None:
    assert cause_of(flipped, fp32, int8, usual) is cause
    assert cause.exit_code == int(flipped)


def test_the_rival_is_the_strongest_other_class_in_int8() -> None:
    fp32, int8 = np.array([1.0, 3.0, 2.9]), np.array([3.5, 3.0, 2.9])
    assert contest_of(fp32, int8) == ClassContest(1, 0)
    assert contest_of(fp32, int8).margin(int8) == pytest.approx(-0.5)


def test_logits_that_are_no_numbers_are_not_explained(built: BuiltPair, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(built.sound, broken)
    model = onnx.load(broken / "model.onnx")
    bias = next(one for one in model.graph.initializer if one.name == "head.b")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * np.float32(np.nan), "head.b"))
    onnx.save(model, broken / "model.onnx")
    build = open_build(broken)
    asked = asked_picture(built.picture, Preprocessing(24, 24, 3), None)
    with pytest.raises(ReportError, match="FP32 logits are not finite for 1 of 1 images"):
        explain(build, asked, Wanted(None, 0, tries=False), Silent())
