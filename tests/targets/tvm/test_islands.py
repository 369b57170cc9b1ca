"""Networks with operators that have no integer form: the rest stays integer, and all machines agree."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from targets.reach.emulator import EmulatedRunner
from targets.reach.emulator import check as check_emulator
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Island
from targets.tvm.isa import ISAS
from targets.tvm.operators.assembling import Assemble
from targets.tvm.operators.convolution import Conv
from tests.calibration.conftest import pictures
from tests.targets.needs import or_skip
from tests.targets.tvm.against_oracle import write_what_runs
from tests.targets.tvm.meaning import check_meaning, in_floats
from tests.targets.tvm.qdq_model import QdqModel

SIZE = (16, 16, 3)
Network = Callable[[QdqModel, str], str]


def head(m: QdqModel, x: str, channels: int) -> str:
    return m.gemm(m.node("Flatten", m.quantized(m.node("GlobalAveragePool", x), 0.05, 0)), 10, channels)


def highway(m: QdqModel, x: str) -> str:
    """y = t * h + (1 - t) * x."""
    x = m.quantized(m.node("Relu", m.conv(x, 16, 3)), 0.5, 0)
    t, h = m.node("Sigmoid", m.conv(x, 16, 16)), m.node("Relu", m.conv(x, 16, 16))
    carried = m.node("Mul", m.node("Sub", m.constant(np.float32(1)), t), x)
    return head(m, m.quantized(m.node("Add", m.node("Mul", t, h), carried), 0.5, 0), 16)


def swish(m: QdqModel, x: str) -> str:
    """x * sigmoid(x), and a squeeze-and-excite gate."""
    y = m.conv(x, 16, 3)
    x = m.quantized(m.node("Mul", y, m.node("Sigmoid", y)), 0.5, 10)
    squeezed = m.quantized(m.node("GlobalAveragePool", x), 0.2, 10)
    gate = m.node("Sigmoid", m.conv(squeezed, 16, 16, kernel=1))
    return head(m, m.quantized(m.node("Mul", x, gate), 0.5, 10), 16)


def tensorrt_style(m: QdqModel, x: str) -> str:
    """w8a8_sym: normalisation and classifier in float, int8 with zero point 0 between."""
    x = m.node("Sub", m.node("Cast", "image", to=TensorProto.FLOAT), m.constant(np.full(3, 120, np.float32)))
    x = m.node("Mul", x, m.constant(np.full(3, 0.017, np.float32)))
    x = m.quantized(m.node("Transpose", x, perm=[0, 3, 1, 2]), 0.02, 0, np.int8)
    x = m.quantized(m.node("Relu", m.conv(x, 16, 3)), 0.05, 0, np.int8)
    weights = m.constant(m.random.normal(0, 1, (10, 16)).astype(np.float32))
    bias = m.constant(np.zeros(10, np.float32))
    pooled = m.node("Flatten", m.node("GlobalAveragePool", x))
    return m.node("Gemm", pooled, weights, bias, transB=1)


def segmentation(m: QdqModel, x: str) -> str:
    """A U-Net: a transposed convolution, a bilinear Resize, skip concatenation, a map of classes."""
    skip = m.quantized(m.node("Relu", m.conv(x, 8, 3)), 0.5, 0)
    low = m.quantized(m.node("Relu", m.conv(skip, 16, 8, strides=[2, 2])), 0.5, 0)
    kernel = m.constant(m.random.normal(0, 0.1, (16, 8, 2, 2)).astype(np.float32))
    up = m.node("ConvTranspose", low, kernel, strides=[2, 2])
    factors = m.constant(np.array([1, 1, 2, 2], np.float32))
    wide = m.node("Resize", low, "", factors, mode="linear")
    x = m.node("Concat", skip, m.quantized(up, 0.3, 128), m.quantized(wide, 0.5, 0), axis=1)
    return m.conv(m.quantized(x, 0.5, 100), 4, 32, kernel=1)


def shuffled(m: QdqModel, x: str) -> str:
    """Channels shuffled by Reshape and Transpose, LeakyRelu, and a Split."""
    x = m.quantized(m.node("LeakyRelu", m.conv(x, 16, 3), alpha=0.1), 0.5, 30)
    x = m.node("Reshape", x, m.constant(np.array([-1, 4, 4, 16, 16])))
    x = m.node(
        "Reshape", m.node("Transpose", x, perm=[0, 2, 1, 3, 4]), m.constant(np.array([-1, 16, 16, 16]))
    )
    x = m.quantized(m.conv(m.quantized(x, 0.5, 30), 16, 4, group=4), 0.5, 128)
    return head(m, x, 16)


def pooled(m: QdqModel, x: str) -> str:
    """Float operators behind MaxPool and Pad, which have no QuantizeLinear of their own."""
    x = m.quantized(m.node("Relu", m.conv(x, 16, 3)), 0.5, 0)
    factors = m.constant(np.array([1, 1, 2, 2], np.float32))
    small = m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = m.quantized(m.node("Resize", small, "", factors, mode="cubic"), 0.5, 0)
    padded = m.node("Pad", x, m.constant(np.array([0, 4, 0, 0, 0, 4, 0, 0])))
    x = m.quantized(m.node("Sigmoid", padded), 1 / 255, 0)
    return head(m, m.quantized(m.conv(x, 16, 24), 0.5, 0), 16)


NETWORKS: list[Network] = [highway, swish, tensorrt_style, segmentation, shuffled, pooled]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_it_means_what_onnxruntime_computes(network: Network, tmp_path: Path) -> None:
    m = QdqModel(*SIZE)
    path = m.save(network(m, m.image()), tmp_path / "model.onnx")
    graph = import_graph(path)
    assert any(isinstance(op, Island) for op in graph.operators)
    assert any(isinstance(op, Conv) for op in graph.operators)
    images = pictures(16, SIZE)
    expected = in_floats(path, images).reshape(len(images), -1)
    found = oracle.run(graph, images)
    assert np.abs(found - expected).mean() <= 0.01 * np.abs(expected).max()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("name", ["host", "neon", pytest.param("dotprod", marks=pytest.mark.slow), "i8mm"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_every_machine_computes_the_same_bits(network: Network, name: str, tmp_path: Path) -> None:
    m = QdqModel(*SIZE)
    graph = import_graph(m.save(network(m, m.image()), tmp_path / "model.onnx"))
    images = pictures(3, SIZE)
    expected, engine = oracle.run(graph, images), tmp_path / "engine"
    or_skip(host_isa if name == "host" else check_emulator)
    write_what_runs(graph, host_isa() if name == "host" else ISAS[name], engine)
    if name == "host":
        with open_engine(engine, threads=2) as runner:
            found = runner.infer(images)
    else:
        found = EmulatedRunner(engine, "max", threads=2).infer(images)
        assert "pass" in EmulatedRunner(engine, "max").selftest()
    assert np.array_equal(found.view(np.int32), expected.view(np.int32))


def normalised(m: QdqModel, x: str, channels: int) -> str:
    """BatchNormalization and Relu in front of a convolution, as in DenseNet."""
    draws = [m.random.normal(1, 1, channels), *m.random.normal(0, 1, (2, channels))]
    vectors = [m.constant(v.astype(np.float32)) for v in (*draws, m.random.uniform(0.5, 2, channels))]
    return m.quantized(m.node("Relu", m.node("BatchNormalization", x, *vectors)), 0.05, 0)


def dense_net(m: QdqModel, x: str) -> str:
    x = m.quantized(m.node("Relu", m.conv(x, 12, 3)), 0.1, 3)
    y = m.quantized(m.conv(normalised(m, x, 12), 7, 12), 0.4, 120)
    z = m.quantized(m.conv(normalised(m, m.node("Concat", x, y, axis=1), 19), 7, 19), 0.3, 130)
    x = m.conv(normalised(m, m.node("Concat", x, y, z, axis=1), 26), 16, 26, kernel=1)
    x = m.node("AveragePool", m.quantized(x, 0.2, 120), kernel_shape=[2, 2], strides=[2, 2])
    return head(m, m.quantized(x, 0.2, 120), 16)


def test_a_norm_after_a_concatenation_stays_integer(tmp_path: Path) -> None:
    m = QdqModel(*SIZE)
    path = m.save(dense_net(m, m.image()), tmp_path / "model.onnx")
    kinds = [type(op) for op in import_graph(path).operators]
    assert Island not in kinds
    assert kinds.count(Assemble) == 3  # one a norm: the concatenation is no operator of its own
    check_meaning(path, SIZE)


def test_layers_are_timed_one_by_one_and_floats_told_apart(tmp_path: Path) -> None:
    isa = or_skip(host_isa)
    m = QdqModel(*SIZE)
    graph = import_graph(m.save(highway(m, m.image()), tmp_path / "model.onnx"))
    write_engine(graph, isa, tmp_path / "engine")
    image = pictures(1, SIZE)[0]
    with open_engine(tmp_path / "engine") as runner:
        times = runner.layer_times(image)
        assert np.array_equal(runner.infer(image[None]), oracle.run(graph, image[None]))
    assert all(layer.microseconds > 0 for layer in times)
    assert sum(layer.macs for layer in times) == graph.macs
    floats = [layer.layer for layer in times if not layer.int8]
    assert any("Sigmoid" in name for name in floats)
    assert not any(name.startswith("Conv") and "to float" not in name for name in floats)
