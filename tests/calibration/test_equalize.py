from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.channels import ChannelGroups
from calibration.equalize import rescaled
from calibration.errors import ImagesError
from calibration.onnx_graph import OnnxGraph, tensor_proto
from calibration.prepare_float import prepare
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from calibration.replay import Replay
from calibration.weight_layers import ordered_weight
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported
from tests.exact_session import run_exactly

RECIPE = QuantRecipe.parse("w8a8_asym_mse_eq_obq_bc")


def test_the_replay_computes_what_onnxruntime_computes(exported: Exported) -> None:
    images = pictures(6, exported.image_shape)
    found, _ = Replay(OnnxGraph.load(exported.path)).run(images)
    np.testing.assert_allclose(found.detach().numpy(), run_exactly(exported.path, images), atol=1e-5)


def test_an_equalised_model_computes_the_same(exported: Exported, tmp_path: Path) -> None:
    images = pictures(16, exported.image_shape)
    prepare(exported.path, lambda: [images], RECIPE, tmp_path / "equal.onnx")
    expected = run_exactly(exported.path, images)
    found = run_exactly(tmp_path / "equal.onnx", images)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max() + 1e-6)
    assert (tmp_path / "equal.onnx").stat().st_size < 1.1 * exported.path.stat().st_size + 2000


def test_whatever_the_factors_a_varied_network_computes_the_same(varied_model: Path) -> None:
    """Through depthwise and grouped convolutions, PReLU, Split and residual streams."""
    graph, images = OnnxGraph.load(varied_model), pictures(4, (16, 16, 3))
    groups = ChannelGroups(graph)
    factors = np.exp(np.random.default_rng(0).normal(size=groups.count))
    factors[0] = 1
    expected = run_exactly(varied_model, images)
    found = run_exactly(rescaled(graph, groups, factors), images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    free = {
        node.name.strip("/").split("/")[0]
        for node in graph.nodes
        if node.op_type in ("Conv", "Gemm")
        and groups.of(node.output[0], len(ordered_weight(graph, node))).any()
    }
    assert {"expand", "wide", "grouped", "gated", "hidden"} <= free
    assert not free & {"stem", "depthwise", "head"}  # HardSwish, ReLU6, logits
    assert len(groups.begun) == 2, "behind the HardSwish and the SiLU"
    assert len(set(groups.channels_of(groups.begun[0]).tolist()) - {0}) > 1


def test_the_replay_computes_a_varied_network(varied_model: Path) -> None:
    images = pictures(4, (16, 16, 3))
    found, _ = Replay(OnnxGraph.load(varied_model)).run(images)
    np.testing.assert_allclose(found.detach().numpy(), run_exactly(varied_model, images), atol=1e-5)


def test_scales_along_a_residual_stream_are_tied(exported: Exported) -> None:
    graph = OnnxGraph.load(exported.path)
    groups = ChannelGroups(graph)
    first = next(n for n in graph.nodes if n.op_type == "Add")
    branches = [groups.of(name, 8) for name in [*first.input, first.output[0]]]
    assert all((b == branches[0]).all() for b in branches)
    assert len(set(branches[0].tolist())) == 8
    assert (groups.of("logits", 10) == 0).all()


def test_shortcut_a_shifts_its_channels_into_the_next_stage(rgb_model: Path) -> None:
    graph = OnnxGraph.load(rgb_model)
    groups = ChannelGroups(graph)
    adds = [n.output[0] for n in graph.nodes if n.op_type == "Add"]
    np.testing.assert_array_equal(groups.of(adds[1], 16)[4:12], groups.of(adds[0], 8))


def test_a_channel_much_smaller_than_the_others_is_worth_equalising(tmp_path: Path, rgb_model: Path) -> None:
    """One channel between two convolutions shrunk a hundredfold: the same network, harder to quantise."""
    model = onnx.load(rgb_model)
    values = {i.name: i for i in model.graph.initializer}
    for name, index, factor in (("conv1.weight", 0, 1e-2), ("conv1.bias", 0, 1e-2), ("conv2.weight", 1, 1e2)):
        found = np.array(onnx.numpy_helper.to_array(values[f"blocks.0.{name}"]))
        found[(slice(None),) * index + (slice(0, 3),)] *= factor
        values[f"blocks.0.{name}"].CopyFrom(tensor_proto(f"blocks.0.{name}", found))
    onnx.save(model, tmp_path / "uneven.onnx")
    images, fresh = pictures(64, (16, 16, 3)), pictures(64, (16, 16, 3), seed=1)
    expected = run_exactly(rgb_model, fresh)

    def error(name: str) -> float:
        made = produce(tmp_path / "uneven.onnx", lambda: [images], QuantRecipe.parse(name), tmp_path)
        return float(((run_exactly(made.quantized, fresh) - expected) ** 2).sum())

    assert error("w8a8_sym_mse_eq_obq_bc") < 0.5 * error("w8a8_sym_mse_obq_bc")


def test_without_images_there_is_nothing_to_equalise_by(rgb_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="needs calibration images"):
        prepare(rgb_model, list, RECIPE, tmp_path / "equal.onnx")
    assert not (tmp_path / "equal.onnx").exists()
