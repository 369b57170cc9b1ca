from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.explore.sensitivity import sensitivity
from calibration.metrics import closeness, logits
from calibration.onnx_graph import tensor_proto
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported, TinyResNet, export


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
    table = sensitivity(made, recipe, lambda: [images])
    kinds = ("Conv", "Gemm") if scheme is Scheme.ASYM else ("Conv",)
    layers = [n for n in onnx.load(exported.path).graph.node if n.op_type in kinds]
    assert [row.layer for row in table] == [n.name for n in layers]
    assert all(row.alone.sqnr_db > whole.sqnr_db for row in table)
    assert max(row.without.sqnr_db for row in table) > whole.sqnr_db


def test_a_layer_with_one_huge_weight_stands_out(rgb_model: Path, tmp_path: Path) -> None:
    model = onnx.load(rgb_model)
    weight = next(i for i in model.graph.initializer if i.name == "blocks.1.conv1.weight")
    value = np.array(onnx.numpy_helper.to_array(weight))
    value[:, 0, 0, 0] = 300 * np.abs(value).max()
    weight.CopyFrom(tensor_proto(weight.name, value))
    onnx.save(model, tmp_path / "huge.onnx")
    recipe, images = QuantRecipe(Scheme.ASYM), pictures(16, (16, 16, 3))
    made = produce(tmp_path / "huge.onnx", lambda: [images], recipe, tmp_path)
    table = sensitivity(made, recipe, lambda: [images])
    assert "blocks.1/conv1" in min(table, key=lambda row: row.alone.sqnr_db).layer
