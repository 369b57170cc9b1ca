"""Functions of a convolution's sums, which no rounding comes before: against floats, and bit for bit."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from calibration.register_functions import PROBES, RegisterFunction
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.sum_functions import in_steps
from tests.calibration.conftest import pictures
from tests.targets.needs import FAMILY, native
from tests.targets.tvm.against_oracle import EMULATED, check, emulated
from tests.targets.tvm.chains import (
    Chain,
    hard_sigmoid_by_clip,
    hard_swish_by_clip,
    hard_swish_by_hard_sigmoid,
    hard_swish_of_keras,
    node,
    silu,
)
from tests.targets.tvm.meaning import in_floats
from tests.targets.tvm.qdq_model import QdqModel

HARD_SWISH, HARD_SIGMOID = RegisterFunction.HARD_SWISH, RegisterFunction.HARD_SIGMOID


DISTINCT = ("HardSwish", "HardSigmoid", "Sigmoid", "SiLU")
FACTORS = np.random.default_rng(1).uniform(0.25, 4, 24).astype(np.float32)


WRITTEN: dict[str, tuple[Chain, RegisterFunction]] = {
    "HardSwish": (node("HardSwish"), HARD_SWISH),
    "HardSigmoid": (node("HardSigmoid", alpha=1 / 6, beta=0.5), HARD_SIGMOID),
    "Sigmoid": (node("Sigmoid"), RegisterFunction.SIGMOID),
    "SiLU": (silu, RegisterFunction.SILU),
    "by HardSigmoid": (hard_swish_by_hard_sigmoid, HARD_SWISH),
    "by Clip": (hard_swish_by_clip, HARD_SWISH),
    "of Keras": (hard_swish_of_keras, HARD_SWISH),
    "gate by Clip": (hard_sigmoid_by_clip, HARD_SIGMOID),
}


def network(chain: Chain, folder: Path, *, kernel: int, group: int) -> Path:
    """A convolution, a function of it, a factor for each channel, and a classifier."""
    m = QdqModel(8, 12, 3, seed=2)
    x = m.quantized(m.conv(m.image(), 24, 3), 0.4, 128)
    y = chain(m, m.conv(x, 24, 24 // group, kernel, group=group))
    y = m.quantized(m.node("Mul", y, m.constant(FACTORS.reshape(1, 24, 1, 1))), 0.05, 20)
    y = m.quantized(m.node("GlobalAveragePool", y), 0.02, 9)
    return m.save(m.gemm(m.node("Flatten", y), 7, 24), folder / "model.onnx")


def convolution(graph: IntegerGraph) -> Conv:
    """The one with a function."""
    (found,) = [op for op in graph.operators if isinstance(op, Conv) and op.applied is not None]
    return found


@pytest.mark.parametrize(("kernel", "group"), [(1, 1), (3, 1), (3, 24)])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_function_is_rounded_once(name: str, kernel: int, group: int, tmp_path: Path) -> None:
    """From the exact sum to the stored number there is half a step, and floats mean the same."""
    chain, function = WRITTEN[name]
    model = network(chain, tmp_path, kernel=kernel, group=group)
    graph = import_graph(model)
    assert convolution(graph).function == function
    op = convolution(graph)
    x = np.random.default_rng(0).integers(0, 256, (4, op.input.height, op.input.width, 24), np.uint8)
    found = op.compute({op.input.name: x}).astype(np.float64)
    s = op.accumulate(x).astype(np.float64) * op.multiplier
    wanted = np.clip(function.of(s) * FACTORS / np.float32(0.05) + 20, 0, 255)
    assert wanted.std() > 10
    assert np.abs(found - wanted).max() < 0.5 + 1e-3
    images = pictures(16, (8, 12, 3))
    logits = oracle.run(graph, images), in_floats(model, images)
    assert np.corrcoef(logits[0].ravel(), logits[1].ravel())[0, 1] > 0.999


@pytest.mark.parametrize("function", RegisterFunction)
def test_float32_steps_are_near_what_float64_gives(function: RegisterFunction) -> None:
    s = np.concatenate([PROBES, np.linspace(-90, 90, 1801), [-1e30, 1e30, 0.0]])
    found = in_steps(function, s.astype(np.float32), np.ones(len(s), np.float32))
    expected = function.of(s.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=3e-7)


def all_forms(folder: Path) -> IntegerGraph:
    """Every function, behind ordinary convolutions of 1 and 3 and depthwise ones."""
    m = QdqModel(8, 12, 3, seed=2)
    x = m.quantized(m.conv(m.image(), 24, 3), 0.4, 128)
    for i, (name, group) in enumerate(product(DISTINCT, (1, 24))):
        kernel = 3 if group > 1 or i % 4 else 1
        y = WRITTEN[name][0](m, m.conv(x, 24, 24 // group, kernel, group=group))
        y = m.node("Mul", y, m.constant(m.random.uniform(0.25, 4, (1, 24, 1, 1)).astype(np.float32)))
        x = m.quantized(y, 0.05, 20)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.02, 9)
    return import_graph(m.save(m.gemm(m.node("Flatten", x), 7, 24), folder / "all.onnx"))


@pytest.mark.parametrize("name", FAMILY)
def test_engines_compute_the_same_bits(name: str, tmp_path: Path) -> None:
    check(all_forms(tmp_path), native(name))


@pytest.mark.parametrize("name", EMULATED)
def test_engines_for_arm_compute_the_same_bits(name: str, tmp_path: Path) -> None:
    check(all_forms(tmp_path), emulated(name))


def test_a_function_whose_convolution_is_in_float_is_computed_there(tmp_path: Path) -> None:
    """As is one that an operator reads in float."""
    m = QdqModel(8, 12, 3, seed=2)
    x = m.quantized(m.conv(m.image(), 24, 3), 0.4, 128)
    y = silu(m, m.conv(x, 24, 24))
    y = m.node("Softmax", y, axis=1)
    x = m.quantized(m.node("GlobalAveragePool", m.quantized(y, 0.004, 0)), 0.001, 0)
    model = m.save(m.gemm(m.node("Flatten", x), 7, 24), tmp_path / "model.onnx")
    images = pictures(4, (8, 12, 3))
    np.testing.assert_allclose(oracle.run(import_graph(model), images), in_floats(model, images), atol=0.02)


def test_channels_that_are_added_to_behind_a_function_keep_their_meaning(tmp_path: Path) -> None:
    m = QdqModel(8, 12, 3, seed=2)
    x = m.quantized(m.conv(m.image(), 24, 3), 0.4, 128)
    y = m.node("HardSwish", m.conv(x, 24, 24))
    y = m.node("Add", y, m.constant(m.random.normal(size=(1, 24, 1, 1)).astype(np.float32)))
    x = m.quantized(m.node("GlobalAveragePool", m.quantized(y, 0.05, 20)), 0.02, 9)
    model = m.save(m.gemm(m.node("Flatten", x), 7, 24), tmp_path / "model.onnx")
    images = pictures(4, (8, 12, 3))
    np.testing.assert_allclose(oracle.run(import_graph(model), images), in_floats(model, images), atol=0.05)
