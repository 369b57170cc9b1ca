from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from calibration.explore.mixed_precision import Goal, PrecisionMix, macs_shares, quantize_within
from calibration.explore.precision_steps import Precision
from calibration.explore.sensitivity import noise_alone
from calibration.lint import lint
from calibration.metrics import closeness, logits
from calibration.onnx_graph import OnnxGraph, tensor_proto
from calibration.produce import produce
from calibration.recipe import QuantRecipe, Scheme
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported
from tests.exact_session import run_exactly

IMAGES = pictures(64, (16, 16, 3))


def _plain_drop(reference: NDArray[np.bool_], found: NDArray[np.bool_]) -> tuple[float, float]:
    """An interval of no width: the drop itself."""
    drop = float(reference.mean() - found.mean())
    return drop, drop


def _changed(model: Path, changes: Mapping[str, tuple[Any, float]], path: Path) -> Path:
    """Write a copy in which some elements of some initialisers have another value."""
    copy = onnx.load(model)
    initializers = {i.name: i for i in copy.graph.initializer}
    for name, (index, number) in changes.items():
        value = np.array(onnx.numpy_helper.to_array(initializers[name]))
        value[index] = number
        initializers[name].CopyFrom(tensor_proto(name, value))
    onnx.save(copy, path)
    return path


@pytest.fixture(scope="module")
def harmed(rgb_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one layer that 8 bits ruin: each output has a huge weight on an input that is always 0."""
    changes = {
        "blocks.0.conv1.weight": ((0,), 0.0),
        "blocks.0.conv1.bias": ((0,), -10.0),  # channel 0 is always 0 behind its Relu
        "blocks.0.conv2.weight": ((slice(None), 0), 500.0),
    }
    return _changed(rgb_model, changes, tmp_path_factory.mktemp("mixed") / "harmed.onnx")


@pytest.fixture(scope="module")
def coarse(rgb_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one activation that 8 bits ruin: a huge channel that nothing depends on."""
    changes = {
        "blocks.0.conv1.bias": ((0,), 500.0),
        "blocks.0.conv2.weight": ((slice(None), 0), 0.0),
    }
    return _changed(rgb_model, changes, tmp_path_factory.mktemp("mixed") / "coarse.onnx")


def _within(model: Path, folder: Path, scheme: Scheme, max_drop: float) -> PrecisionMix:
    recipe = QuantRecipe(scheme)
    made = produce(model, lambda: [IMAGES], recipe, folder)
    noise = noise_alone(made, recipe, lambda: [IMAGES], reads_wide=True)
    labels = logits(model, [IMAGES]).argmax(axis=1)
    goal = Goal(lambda: [IMAGES], labels, _plain_drop, max_drop)
    return quantize_within(made, recipe, goal, noise, folder / "mixed.onnx")


@pytest.mark.parametrize("scheme", list(Scheme))
def test_the_layer_that_ruins_the_model_and_no_other_stays_in_float(
    harmed: Path, scheme: Scheme, tmp_path: Path
) -> None:
    found = _within(harmed, tmp_path, scheme, max_drop=0.02)
    assert found.passes
    assert ["blocks.0/conv2" in layer.layer for layer in found.layers] == [True]
    assert found.layers[0].precision is Precision.FLOAT
    assert 0 < found.layers[0].macs_share < 1
    assert found.layers[0].added_time > 0
    assert found.layers[0].saved_drop > 0.02
    assert found.drop[1] <= 0.02 < found.all_int8[1]
    names = [layer.layer for layer in found.layers]
    assert lint(tmp_path / "mixed.onnx", scheme, names) == []
    assert [f.node for f in lint(tmp_path / "mixed.onnx", scheme)] == names


def test_an_activation_that_8_bits_ruin_gets_16_on_processors_and_float_for_tensorrt(
    coarse: Path, tmp_path: Path
) -> None:
    kinds = {Scheme.ASYM: Precision.WIDE, Scheme.SYM: Precision.FLOAT}
    for scheme, kind in kinds.items():
        found = _within(coarse, tmp_path, scheme, max_drop=0.02)
        assert found.passes
        assert [layer.precision for layer in found.layers] == [kind]
        assert "blocks.0/conv2" in found.layers[0].layer
        wide_db = found.layers[0].noise.wide_db
        if kind is Precision.FLOAT:
            assert wide_db is None
            continue
        assert wide_db is not None
        assert wide_db > found.layers[0].noise.int8_db + 20
        graph = import_graph(tmp_path / "mixed.onnx")
        assert any(getattr(tensor, "wide", False) for op in graph.operators for tensor in op.inputs)
        assert closeness(run_exactly(tmp_path / "mixed.onnx", IMAGES), oracle.run(graph, IMAGES)).sqnr_db > 40


def test_a_model_that_passes_in_8_bits_stays_in_8_bits(rgb_model: Path, tmp_path: Path) -> None:
    found = _within(rgb_model, tmp_path, Scheme.ASYM, max_drop=0.5)
    assert found.passes
    assert found.layers == ()
    assert (tmp_path / "mixed.onnx").read_bytes() == (tmp_path / "model.int8.onnx").read_bytes()


def test_a_goal_out_of_reach_is_said_to_be(rgb_model: Path, tmp_path: Path) -> None:
    found = _within(rgb_model, tmp_path, Scheme.ASYM, max_drop=-0.5)
    assert not found.passes
    assert found.layers == ()


def test_the_shares_of_all_layers_are_one_and_follow_from_the_shapes(exported: Exported) -> None:
    shares = macs_shares(OnnxGraph.load(exported.path))
    assert sum(shares.values()) == pytest.approx(1)
    if "shortcut_a" in exported.path.name:
        stem, block = shares["/stem/Conv"], shares["/blocks/blocks.0/conv1/Conv"]
        assert block / stem == pytest.approx(8 / 3)
