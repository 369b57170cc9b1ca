"""The integer graph means what the Q/DQ graph means, in onnxruntime's floats, but for rare roundings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from calibration.collect import collect
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from targets.errors import EngineError
from targets.tvm.importer import import_graph
from targets.tvm.operators.assembling import Assemble
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Add
from targets.tvm.operators.window_pooling import AveragePool, MaxPool
from tests.calibration.conftest import pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.targets.tvm.meaning import check_meaning
from tests.targets.tvm.qdq_model import QdqModel


@pytest.mark.parametrize(("channels", "projection"), [(3, False), (3, True), (1, False)])
def test_residual_networks(channels: int, projection: bool, tmp_path: Path) -> None:
    size, recipe = (16, 16, channels), QuantRecipe.parse("w8a8_asym")
    model = export(TinyResNet(channels=channels, projection=projection), tmp_path / "float.onnx", size).path
    quantize(model, collect(model, [pictures(32, size, seed=1)], recipe), recipe, tmp_path / "int8.onnx")
    check_meaning(tmp_path / "int8.onnx", size)


def plain(m: QdqModel, x: str) -> str:
    x = m.quantized(m.node("Relu", m.conv(x, 16, 3)), 0.5, 0)
    return m.gemm(m.node("Flatten", m.quantized(m.node("GlobalAveragePool", x), 0.3, 0)), 10, 16)


def dense_blocks(m: QdqModel, x: str) -> str:
    x = m.quantized(m.node("Relu", m.conv(x, 12, 3)), 0.6, 3)
    y = m.quantized(m.node("Relu", m.conv(x, 7, 12)), 0.2, 0)
    x = m.quantized(m.node("Concat", x, y, axis=1), 0.6, 3)
    x = m.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = m.quantized(m.conv(x, 16, 19, kernel=1), 0.2, 120)
    x = m.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return m.gemm(m.node("Flatten", m.quantized(x, 0.1, 120)), 10, 16 * 4 * 4)


def mobile(m: QdqModel, x: str) -> str:
    bounds = m.constant(np.float32(0)), m.constant(np.float32(6))
    x = m.quantized(m.node("Clip", m.conv(x, 24, 3, strides=[2, 2]), *bounds), 6 / 255, 0)
    y = m.quantized(m.node("Clip", m.conv(x, 24, 1, group=24), *bounds), 6 / 255, 0)
    x = m.quantized(m.node("Add", x, y), 12 / 255, 0)
    x = m.quantized(m.conv(x, 32, 6, group=4), 0.02, 0, np.int8)
    return m.gemm(m.node("Flatten", m.quantized(m.node("GlobalAveragePool", x), 0.01, 0, np.int8)), 10, 32)


def residual_of_a_slice(m: QdqModel, x: str) -> str:
    x = m.quantized(m.node("Relu", m.conv(x, 8, 3)), 0.5, 0)
    cut = [m.constant(np.array(v)) for v in ([0, 0], [1 << 40, 1 << 40], [2, 3], [2, 2])]
    pads = m.constant(np.array([0, 4, 0, 0, 0, 4, 0, 0]))
    shortcut = m.node("Pad", m.node("Slice", x, *cut), pads)
    y = m.node("Relu", m.node("Add", m.conv(x, 16, 8, strides=[2, 2]), shortcut))
    y = m.quantized(m.node("GlobalAveragePool", m.quantized(y, 0.4, 0)), 0.2, 0)
    return m.gemm(m.node("Flatten", y), 10, 16)


@pytest.mark.parametrize("network", [plain, dense_blocks, mobile, residual_of_a_slice])
def test_networks_written_by_hand(network: Callable[[QdqModel, str], str], tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    check_meaning(m.save(network(m, m.image()), tmp_path / "model.onnx"), (16, 16, 3))


def test_every_operator_has_its_integer_form(tmp_path: Path) -> None:
    kinds = set()
    for network in (dense_blocks, mobile, residual_of_a_slice):
        m = QdqModel(16, 16, 3)
        path = m.save(network(m, m.image()), tmp_path / "model.onnx")
        kinds |= {type(op) for op in import_graph(path).operators}
    assert {Conv, MaxPool, AveragePool, Add, Assemble} <= kinds


def test_relu_and_residual_join_the_convolution(tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    graph = import_graph(m.save(residual_of_a_slice(m, m.image()), tmp_path / "model.onnx"))
    convs = [op for op in graph.operators if isinstance(op, Conv)]
    assert [op.residual is not None for op in convs] == [False, True, False]
    assert not any(isinstance(op, Add) for op in graph.operators)


def refused(m: QdqModel, output: str, tmp_path: Path, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        import_graph(m.save(output, tmp_path / "model.onnx"))


def test_an_operator_that_tvm_does_not_know_is_named(tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    x = m.node("Sigmoid", m.conv(m.image(), 8, 3))
    refused(m, m.node("Det", x), tmp_path, "Det 'det")


def test_a_function_without_the_same_bits_everywhere_is_named(tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    refused(m, m.node("Flatten", m.node("Sin", m.conv(m.image(), 8, 3))), tmp_path, "sin")


def test_control_flow_is_refused(tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    body = helper.make_graph([], "body", [], [])
    x = m.node("If", m.constant(np.array(True)), then_branch=body, else_branch=body)
    refused(m, x, tmp_path, "control flow")


def test_sums_that_leave_int32_are_refused(tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    x = m.quantized(m.conv(m.image(), 8, 3), 0.5, 0)
    bias = m.constant(np.full(8, 1e9, np.float32))
    y = m.node("Conv", x, m.weights(8, 8, 1, 1), bias)
    refused(m, m.quantized(y, 0.5, 0), tmp_path, "more than an int32 holds")


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_no_scale_is_refused(scale: float, tmp_path: Path) -> None:
    m = QdqModel(16, 16, 3)
    refused(m, m.quantized(m.conv(m.image(), 8, 3), scale, 0), tmp_path, "scales are finite and above zero")
