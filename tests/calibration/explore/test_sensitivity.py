from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.explore.sensitivity import LayerComparison, LayerDistances, layers_in_8_bits
from calibration.metrics import ImageDistances, closeness, closeness_of, logits
from calibration.onnx_graph import tensor_proto
from calibration.produce import Produced, produce
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported, TinyResNet, export


def table_of(made: Produced, recipe: QuantRecipe, images: NDArray[np.uint8]) -> dict[str, LayerDistances]:
    comparison = LayerComparison(made, recipe, lambda: [images])
    names = layers_in_8_bits(made.float_model, made.ranges, recipe)
    return {name: comparison.distances(position) for position, name in enumerate(names)}


@given(st.lists(st.integers(0, 40), max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_closeness_has_the_same_bits_for_any_cut_and_order(cuts: list[int], random: Random) -> None:
    rng = np.random.default_rng(0)
    sizes = np.power(10.0, rng.integers(-6, 6, (40, 1)))
    reference = np.asarray(rng.normal(size=(40, 10)) * sizes, np.float32)
    found = reference + rng.normal(size=reference.shape).astype(np.float32)
    cut = [slice(*ends) for ends in pairwise([0, *sorted(cuts), 40])]
    parts = [ImageDistances.between(reference[part], found[part]) for part in cut]
    random.shuffle(parts)
    assert closeness_of(parts) == closeness(reference, found)


def test_sqnr_is_the_ratio_of_powers_in_decibels() -> None:
    reference = np.full((10, 4), 2.0, np.float32)
    assert closeness(reference, reference + np.float32(0.02)).sqnr_db == pytest.approx(40, abs=1e-3)
    assert closeness(reference, reference).sqnr_db == np.inf


def test_agreement_is_the_share_of_equal_top_1() -> None:
    reference, found = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)
    found[0] = found[0, ::-1]
    assert closeness(reference, found).agreement == 0.75


def test_a_fixed_batch_gives_the_logits_of_a_dynamic_one(tmp_path: Path) -> None:
    network = TinyResNet()
    fixed, dynamic = (
        export(network, tmp_path / "a.onnx", batch=4).path,
        export(network, tmp_path / "b.onnx").path,
    )
    images = pictures(7, (16, 16, 3))
    np.testing.assert_allclose(logits(fixed, [images]), logits(dynamic, [images[:5], images[5:]]), atol=1e-5)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_every_layer_has_a_row_and_alone_it_costs_less_than_all_together(
    exported: Exported, scheme: Scheme, tmp_path: Path
) -> None:
    recipe, images = QuantRecipe(scheme), pictures(32, exported.image_shape)
    made = produce(exported.path, lambda: [images], recipe, tmp_path)
    whole = closeness(logits(exported.path, [images]), logits(made.quantized, [images]))
    table = table_of(made, recipe, images)
    kinds = ("Conv", "Gemm") if scheme is Scheme.ASYM else ("Conv",)
    layers = [n for n in onnx.load(exported.path).graph.node if n.op_type in kinds]
    assert list(table) == [n.name for n in layers]
    assert all(closeness_of([row.alone]).sqnr_db > whole.sqnr_db for row in table.values())
    assert max(closeness_of([row.without]).sqnr_db for row in table.values()) > whole.sqnr_db


def test_a_layer_with_one_huge_weight_stands_out(rgb_model: Path, tmp_path: Path) -> None:
    model = onnx.load(rgb_model)
    weight = next(i for i in model.graph.initializer if i.name == "blocks.1.conv1.weight")
    value = np.array(onnx.numpy_helper.to_array(weight))
    value[:, 0, 0, 0] = 300 * np.abs(value).max()
    weight.CopyFrom(tensor_proto(weight.name, value))
    onnx.save(model, tmp_path / "huge.onnx")
    recipe, images = QuantRecipe(Scheme.ASYM), pictures(16, (16, 16, 3))
    made = produce(tmp_path / "huge.onnx", lambda: [images], recipe, tmp_path)
    table = table_of(made, recipe, images)
    assert "blocks.1/conv1" in min(table, key=lambda name: closeness_of([table[name].alone]).sqnr_db)
