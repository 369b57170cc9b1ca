"""Residual additions that read 16 bits, while convolutions read copies of 8."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from calibration.errors import ModelError
from calibration.grid import activation_grid
from calibration.lint import lint
from calibration.metrics import closeness
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.produce import produce
from calibration.qdq import save_quantized
from calibration.qdq_reader import read_parameters
from calibration.recipe import QuantRecipe
from calibration.scheme import Scheme
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import Exported, ShortcutBlock, TinyResNet, export
from tests.exact_session import run_exactly

ASYM, SYM = QuantRecipe.parse("w8a8_asym_mse_res"), QuantRecipe.parse("w8a8_sym_mse_res")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Twelve blocks that change little, of few pixels: so it is their rounding that changes the logits."""
    torch.manual_seed(0)
    network = TinyResNet()
    network.blocks = torch.nn.Sequential(*(ShortcutBlock(8, 8, 1, projection=False) for _ in range(12)))
    for block in network.blocks:
        assert isinstance(block, ShortcutBlock)
        block.conv2.weight.data *= 0.1
    network.head = torch.nn.Linear(8, 10)
    return export(network, tmp_path_factory.mktemp("models") / "deep.onnx", (4, 4, 3))


def _quantised(exported: Exported, recipe: QuantRecipe, folder: Path) -> Path:
    images = pictures(48, exported.image_shape)
    folder.mkdir(exist_ok=True)
    return produce(exported.path, lambda: [images], recipe, folder).quantized


def _type_read(graph: OnnxGraph, tensor: str) -> np.dtype[np.generic] | None:
    """The integers behind a dequantised tensor; None for one that is not."""
    node = graph.producer(tensor)
    if node is None or node.op_type != "DequantizeLinear":
        return None
    zero = graph.constant(node.input[2])
    assert zero is not None
    return zero.dtype


def test_additions_read_16_bits_and_convolutions_8(deep: Exported, tmp_path: Path) -> None:
    path = _quantised(deep, ASYM, tmp_path)
    graph = OnnxGraph.load(path)
    adds = [node for node in graph.nodes if node.op_type == "Add"]
    convolutions = [node for node in graph.nodes if node.op_type == "Conv"]
    read = [{_type_read(graph, name) for name in node.input} for node in adds]
    assert read == [{None, np.dtype(np.uint16)}] * 12
    assert all(_type_read(graph, node.input[0]) == np.uint8 for node in convolutions)
    assert lint(path, Scheme.ASYM) == []


def test_they_read_fp16_under_tensorrt(deep: Exported, tmp_path: Path) -> None:
    graph = OnnxGraph.load(_quantised(deep, SYM, tmp_path))
    adds = [node for node in graph.nodes if node.op_type == "Add"]
    convolutions = [node for node in graph.nodes if node.op_type == "Conv"]
    assert {_type_read(graph, name) for node in adds for name in node.input} == {None}
    assert all(_type_read(graph, node.input[0]) == np.int8 for node in convolutions)


@pytest.mark.parametrize("recipe", [ASYM, SYM], ids=lambda recipe: recipe.name)
def test_a_deep_network_is_closer_to_the_float_one(
    deep: Exported, recipe: QuantRecipe, tmp_path: Path
) -> None:
    images = pictures(64, deep.image_shape, seed=1)
    expected = run_exactly(deep.path, images)
    without = QuantRecipe(recipe.scheme, recipe.observer)
    narrow, wide = (
        closeness(expected, run_exactly(_quantised(deep, each, tmp_path / each.name), images)).sqnr_db
        for each in (without, recipe)
    )
    assert wide > narrow + 3


def test_the_engine_computes_what_the_graph_says(exported: Exported, tmp_path: Path) -> None:
    images = pictures(32, exported.image_shape, seed=1)
    path = _quantised(exported, ASYM, tmp_path)
    found, expected = oracle.run(import_graph(path), images), run_exactly(path, images)
    assert closeness(expected, found).sqnr_db > 50


def test_no_convolution_is_computed_twice(deep: Exported, tmp_path: Path) -> None:
    wide = import_graph(_quantised(deep, ASYM, tmp_path / "wide"))
    narrow = import_graph(_quantised(deep, QuantRecipe.parse("w8a8_asym_mse"), tmp_path / "narrow"))
    assert wide.macs == narrow.macs


def test_moved_values_keep_their_sources_8_bits(tmp_path: Path) -> None:
    """Shortcut A: its slice and its padding are of the 8 bits that a convolution reads too."""
    torch.manual_seed(0)
    exported = export(TinyResNet(), tmp_path / "shortcut_a.onnx", (16, 16, 3))
    graph = OnnxGraph.load(_quantised(exported, ASYM, tmp_path / "made"))
    adds = [node for node in graph.nodes if node.op_type == "Add"]
    read = [{_type_read(graph, name) for name in node.input} for node in adds]
    assert read == [{None, np.dtype(np.uint16)}, {None, np.dtype(np.uint8)}]


def test_a_branch_that_only_an_addition_reads_has_no_copy(tmp_path: Path) -> None:
    torch.manual_seed(0)
    exported = export(TinyResNet(projection=True), tmp_path / "projection.onnx", (16, 16, 3))
    path = _quantised(exported, ASYM, tmp_path / "made")
    graph, made = OnnxGraph.load(exported.path), OnnxGraph.load(path)
    placement = place(graph, ASYM)
    (name,) = [name for name, is_copied in placement.residuals(graph).items() if not is_copied]
    assert read_parameters(path, graph, placement).grids[name].is_wide
    assert [n.op_type for n in made.nodes if n.input[0] == name] == ["QuantizeLinear"]


def test_an_addition_still_reads_16_bits_if_the_convolution_beside_it_is_in_float(
    deep: Exported, tmp_path: Path
) -> None:
    path = _quantised(deep, ASYM, tmp_path)
    graph = OnnxGraph.load(deep.path)
    parameters = read_parameters(path, graph, place(graph, ASYM))
    in_float = [node.name for node in graph.nodes if node.op_type == "Conv"][1::2]
    mixed = tmp_path / "mixed.onnx"
    save_quantized(graph, place(graph, ASYM, in_float), parameters, ASYM, mixed)
    made = OnnxGraph.load(mixed)
    read = [{_type_read(made, name) for name in node.input} for node in made.nodes if node.op_type == "Add"]
    assert read == [{None, np.dtype(np.uint16)}] * 12
    images = pictures(32, deep.image_shape, seed=1)
    found, expected = oracle.run(import_graph(mixed), images), run_exactly(mixed, images)
    assert closeness(expected, found).sqnr_db > 50


def test_a_network_that_has_no_form_with_16_bits_is_left_as_it_is(
    deep: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: OnnxGraph) -> None:
        raise ModelError("the network cannot be written in opset 21: no adapter")

    monkeypatch.setattr("calibration.residual_reads.check_opset", refuse)
    graph = OnnxGraph.load(_quantised(deep, ASYM, tmp_path))
    assert not any(proto.data_type == TensorProto.UINT16 for proto in graph.model.graph.initializer)
    notes = {p.key: p.value for p in graph.model.metadata_props}["edgec.left_out"]
    assert notes == "res: the network cannot be written in opset 21: no adapter"


@given(st.floats(-8, 0), st.floats(0.01, 8), st.floats(1e-6, 1e6))
def test_no_number_of_16_bits_lies_half_way_between_two_of_8(low: float, high: float, unit: float) -> None:
    """So all that round to nearest make the same copy, in whatever way they compute."""
    grid = activation_grid(low * unit, high * unit, Scheme.ASYM)
    wide = grid.widened()
    every = np.arange(65536, dtype=np.uint16)
    steps = (every.astype(np.float64) - int(wide.zero_point)) * float(wide.scale) / float(grid.scale)
    assert np.abs(steps - np.floor(steps) - 0.5).min() > 1e-3
    expected = np.clip(np.rint(steps) + int(grid.zero_point), 0, 255).astype(np.uint8)
    assert (
        _copied_by_onnxruntime(every, wide.scale, wide.zero_point, grid.scale, grid.zero_point) == expected
    ).all()


def _copied_by_onnxruntime(
    numbers: np.ndarray, scale: np.float32, zero: np.generic, to: np.float32, to_zero: np.generic
) -> np.ndarray:
    constants = {"scale": scale, "zero": zero, "to": to, "to_zero": to_zero}
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["real"]),
            helper.make_node("QuantizeLinear", ["real", "to", "to_zero"], ["y"]),
        ],
        "copy",
        [helper.make_tensor_value_info("x", TensorProto.UINT16, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["n"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": numbers})
    return np.asarray(found)
