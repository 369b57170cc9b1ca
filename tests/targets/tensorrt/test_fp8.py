"""FP8 in place of INT8: judged by onnxruntime, NVIDIA's Model Optimizer and TensorRT-RTX."""

import ast
import logging
import zipfile
from collections import defaultdict
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import OnnxGraph
from targets.errors import EngineError
from targets.registry import find_target
from targets.runtime.reference_runner import open_engine
from targets.tensorrt import rtx
from targets.tensorrt.fp8 import fp8_convolutions, to_fp8
from targets.tensorrt.fp8_reference import Fp8Reference
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.targets.tensorrt.bindings import wheel
from tests.targets.tensorrt.conftest import SHAPE, needs_rtx, quantized


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with enough channels for FP8."""
    folder = tmp_path_factory.mktemp("fp8")
    return export(TinyResNet(width=24, projection=True), folder / "model.onnx").path


@pytest.fixture(scope="module")
def wide_int8(wide_model: Path) -> Path:
    return quantized(wide_model, "w8a8_sym_mse")


@pytest.fixture(scope="module")
def fp8(wide_model: Path, wide_int8: Path) -> onnx.ModelProto:
    return to_fp8(onnx.load(wide_int8), onnx.load(wide_model))


def logits(model: onnx.ModelProto) -> NDArray[np.float32]:
    """What onnxruntime computes, each node as it is written."""
    return Fp8Reference(model.SerializeToString()).infer(pictures(4, SHAPE))


def noise_db(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float(10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum()))


def test_it_computes_what_the_float_network_does_up_to_fp8s_rounding(
    wide_model: Path, fp8: onnx.ModelProto
) -> None:
    onnx.checker.check_model(fp8, full_check=True)
    assert [one.version for one in fp8.opset_import if not one.domain] == [19]
    with open_engine(wide_model) as runner:
        wanted = runner.infer(pictures(4, SHAPE))
    assert noise_db(logits(fp8), wanted) > 20
    assert len(fp8_convolutions(fp8)) == 5  # all but the first, which has three channels


def test_every_8_bit_value_is_fp8_and_only_what_nvidia_multiplies_reads_it(fp8: onnx.ModelProto) -> None:
    graph = OnnxGraph(fp8)
    kinds = {one.data_type for one in fp8.graph.initializer}
    assert TensorProto.FLOAT8E4M3FN in kinds
    assert TensorProto.INT8 not in kinds
    readers = {
        graph.nodes[edge.node].op_type
        for node in graph.nodes
        if node.op_type == "DequantizeLinear"
        for edge in graph.consumers(node.output[0])
    }
    assert {"Conv"} <= readers <= {"Conv", "Gemm", "MatMul", "Add"}


def test_weights_are_the_float_ones_rounded_once(wide_model: Path, fp8: onnx.ModelProto) -> None:
    """Onnxruntime's own QuantizeLinear rounds them to the same bytes."""
    graph, floats = OnnxGraph(fp8), OnnxGraph.load(wide_model)
    weights = {node.name: floats.constant(node.input[1]) for node in floats.nodes if node.op_type == "Conv"}
    for name in fp8_convolutions(fp8):
        conv = next(node for node in graph.nodes if node.name == name)
        undone = graph.producer(conv.input[1])
        assert undone
        scale, zero = (graph.constant_proto(part) for part in undone.input[1:])
        assert scale
        assert zero
        quantising = helper.make_node("QuantizeLinear", ["w", scale.name, zero.name], ["q"], axis=0)
        shown = helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT)
        weight = weights[name]
        assert weight is not None
        half = numpy_helper.to_array(scale).dtype
        inside = helper.make_tensor_value_info("w", helper.np_dtype_to_tensor_dtype(half), weight.shape)
        outside = helper.make_tensor_value_info("y", TensorProto.FLOAT, weight.shape)
        g = helper.make_graph([quantising, shown], "g", [inside], [outside], [scale, zero])
        session = onnxruntime.InferenceSession(
            helper.make_model(
                g, opset_imports=[helper.make_opsetid("", 19)], ir_version=9
            ).SerializeToString()
        )
        theirs = session.run(None, {"w": weight.astype(half)})[0]
        ours = np.asarray(graph.constant(undone.input[0])).astype(np.float32)
        steps = np.abs(theirs - ours) / np.maximum(np.abs(ours), 2**-6)
        assert (steps <= 1 / 8).all()  # theirs rounds to FP16 before
        assert (steps == 0).mean() > 0.98


def modelopt(*names: str) -> dict[str, Any]:
    """Functions of NVIDIA's Model Optimizer, without what else its modules import."""
    found = wheel("nvidia_modelopt")
    if found is None:
        pytest.skip("NVIDIA's Model Optimizer is not here: run scripts/tensorrt_wheels.sh")
    scope: dict[str, Any] = {
        **{"np": np, "onnx": onnx, "numpy_helper": numpy_helper, "defaultdict": defaultdict},
        **{"reduce": reduce, "logger": logging.getLogger("modelopt"), "Graph": object},
        "onnx_utils": SimpleNamespace(get_tensor_by_name=lambda *_: None),
    }
    for module in ("graph_utils", "fp8"):
        with zipfile.ZipFile(found) as archive:
            tree = ast.parse(archive.read(f"modelopt/onnx/quantization/{module}.py"))
        wanted: list[ast.stmt] = [
            node
            for node in tree.body
            if (isinstance(node, ast.FunctionDef) and node.name in names)
            or (isinstance(node, ast.Assign) and "_MIN_CHANNELS_FP8" in ast.unparse(node))
        ]
        exec(compile(ast.Module(wanted, []), module, "exec"), scope)  # noqa: S102 - a pinned file of NVIDIA's
    return scope


def test_model_optimizer_leaves_the_same_convolutions_in_float(
    wide_model: Path, fp8: onnx.ModelProto
) -> None:
    theirs = modelopt("find_nodes_from_convs_to_exclude")["find_nodes_from_convs_to_exclude"]
    graph = OnnxGraph.load(wide_model)
    nodes = [
        SimpleNamespace(
            name=node.name,
            op=node.op_type,
            inputs=[None, SimpleNamespace(shape=np.asarray(graph.constant(node.input[1])).shape)],
            attrs={one.name: helper.get_attribute_value(one) for one in node.attribute},
        )
        for node in graph.nodes
        if node.op_type == "Conv"
    ]
    excluded = theirs(SimpleNamespace(nodes=nodes, inputs=[]), "fp8")
    assert sorted(set(excluded) | set(fp8_convolutions(fp8))) == sorted(node.name for node in nodes)
    assert not set(excluded) & set(fp8_convolutions(fp8))


def test_model_optimizer_too_keeps_int8s_placement(wide_int8: Path) -> None:
    """Its int8_to_fp8 changes types alone; its scales use E4M3 up to 36, ours up to 448."""
    theirs = modelopt("int8_to_fp8", "get_tensor_producer_nodes")["int8_to_fp8"]
    before = onnx.load(wide_int8)
    activations = onnx.ModelProto()
    activations.CopyFrom(before)
    after = theirs(activations)
    assert [node.op_type for node in after.graph.node] == [node.op_type for node in before.graph.node]
    was, now = OnnxGraph(before), OnnxGraph(after)
    scales = [node.input[1] for node in was.nodes if node.op_type == "QuantizeLinear"]
    for name in scales:
        ratio = np.asarray(now.constant(name)) / np.asarray(was.constant(name))
        assert np.allclose(ratio, 448 / 127)


def test_the_range_of_an_activation_stays_what_it_was(wide_int8: Path, fp8: onnx.ModelProto) -> None:
    before, after = OnnxGraph.load(wide_int8), OnnxGraph(fp8)
    scales = {
        node.output[0]: before.constant(node.input[1])
        for node in before.nodes
        if node.op_type == "QuantizeLinear"
    }
    seen = 0
    for node in after.nodes:
        if node.op_type == "QuantizeLinear":
            scale, was = after.constant(node.input[1]), scales[node.output[0]]
            assert scale is not None and was is not None  # noqa: PT018
            assert np.isclose(float(scale) * 448, float(was) * 127, rtol=2e-3)
            seen += 1
    assert seen


def test_a_network_of_few_channels_has_no_fp8(int8_model: Path, float_model: Path) -> None:
    with pytest.raises(EngineError, match="no layer has enough channels for FP8"):
        to_fp8(onnx.load(int8_model), onnx.load(float_model))


def test_weights_that_were_changed_are_int8s(wide_model: Path, wide_int8: Path) -> None:
    changed = onnx.load(wide_model)
    for one in changed.graph.initializer:
        if len(one.dims) == 4:
            one.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(one), one.name))
    model = to_fp8(onnx.load(wide_int8), changed)
    with open_engine(wide_int8) as runner:
        assert noise_db(logits(model), runner.infer(pictures(4, SHAPE))) > 20


@needs_rtx
def test_thor_gets_it_compiled_for_its_kind_of_gpu(wide_model: Path, wide_int8: Path, tmp_path: Path) -> None:
    model = onnx.load(wide_int8)
    files = to_fp8(model, onnx.load(wide_model))
    onnx.save(files, tmp_path / "fp8.onnx")
    message = rtx.check_multiplies("FP8", tmp_path / "fp8.onnx", fp8_convolutions(files), "SM120")
    assert "all 5 convolutions multiply FP8" in message
    with pytest.raises(EngineError, match="in float"):
        rtx.check_multiplies("INT8", tmp_path / "fp8.onnx", fp8_convolutions(files), "SM120")


def test_only_thor_ships_it(wide_model: Path, wide_int8: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(rtx, "installed", lambda: None)
    for name, has in (("jetson-thor", True), ("jetson-orin-nx", False)):
        target = find_target(name)
        (tmp_path / name).mkdir()
        target.build(wide_int8, tmp_path / name / target.engine_name, float_model=wide_model)
        assert ("fp8.onnx" in target.shipped) == has
        assert all((tmp_path / name / file).is_file() for file in target.shipped)
