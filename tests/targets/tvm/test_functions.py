"""Functions of one tensor against onnxruntime, for every stored value, in each form that exporters write."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.operators.element_by_element import Lookup
from tests.targets.tvm.chains import (
    Chain,
    hard_sigmoid_by_clip,
    hard_swish_by_clip,
    hard_swish_by_hard_sigmoid,
    hard_swish_of_keras,
    node,
    number,
    silu,
)
from tests.targets.tvm.meaning import in_floats
from tests.targets.tvm.qdq_model import QdqModel

EVERY_BYTE = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
NEAR = 2e-4
"""As close to a half step, float32's last bits may decide to which side a value is rounded."""


def gelu(m: QdqModel, x: str) -> str:
    erf = m.node("Erf", m.node("Div", x, number(m, 2**0.5)))
    return m.node("Mul", m.node("Mul", x, m.node("Add", erf, number(m, 1))), number(m, 0.5))


def gelu_by_tanh(m: QdqModel, x: str) -> str:
    cube = m.node("Mul", m.node("Pow", x, number(m, 3)), number(m, 0.044715))
    inner = m.node("Mul", m.node("Add", x, cube), number(m, (2 / np.pi) ** 0.5))
    return m.node("Mul", m.node("Mul", number(m, 0.5), x), m.node("Add", m.node("Tanh", inner), number(m, 1)))


def mish(m: QdqModel, x: str) -> str:
    return m.node("Mul", x, m.node("Tanh", m.node("Softplus", x)))


def rest_of_a_gate(m: QdqModel, x: str) -> str:
    return m.node("Sub", number(m, 1), m.node("Sigmoid", x))


def upper_bound_only(m: QdqModel, x: str) -> str:
    return m.node("Clip", m.node("Tanh", x), "", number(m, 0.5))


CHAINS: dict[str, Chain] = {
    "Sigmoid": node("Sigmoid"),
    "HardSigmoid": node("HardSigmoid"),
    "HardSwish": node("HardSwish"),
    "Tanh": node("Tanh"),
    "LeakyRelu": node("LeakyRelu", alpha=0.1),
    "Elu": node("Elu", alpha=0.7),
    "Relu": node("Relu"),
    "PRelu": lambda m, x: m.node("PRelu", x, m.constant(np.full((1, 1, 1), 0.25, np.float32))),
} | {
    chain.__name__: chain
    for chain in (
        hard_sigmoid_by_clip,
        hard_swish_by_hard_sigmoid,
        hard_swish_by_clip,
        hard_swish_of_keras,
        silu,
        gelu,
        gelu_by_tanh,
        mish,
        rest_of_a_gate,
        upper_bound_only,
    )
}


def built(chain: Chain, grid: tuple[float, int], result: tuple[float, int] | None, folder: Path) -> Path:
    """The image on a grid, a function of it, and that on its own grid."""
    m = QdqModel(16, 16, 1)
    pixels = m.node("Transpose", "image", perm=[0, 3, 1, 2])
    names = m.constant(np.float32(grid[0])), m.constant(np.uint8(grid[1]))
    y = chain(m, m.node("DequantizeLinear", pixels, *names))
    return m.save(m.node("Flatten", m.quantized(y, *result) if result else y), folder / "model.onnx")


def steps(values: NDArray[np.float32], grid: tuple[float, int]) -> NDArray[np.float64]:
    return values.ravel().astype(np.float64) / np.float64(np.float32(grid[0])) + grid[1]


def operators(graph: IntegerGraph) -> list[str]:
    return [type(op).__name__ for op in graph.operators if not isinstance(op, Image)]


zero_points = st.sampled_from([0, 1, 77, 128, 254, 255])
scales = st.sampled_from([1 / 255, 2**-6, 0.0234567, 0.1, 0.37])


@pytest.mark.parametrize("chain", CHAINS.values(), ids=list(CHAINS))
@settings(max_examples=8, deadline=None)
@given(grid=st.tuples(scales, zero_points), result=st.tuples(scales, zero_points))
def test_every_stored_value_becomes_what_onnxruntime_makes_of_it(
    chain: Chain, grid: tuple[float, int], result: tuple[float, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("function")
    before_rounding = steps(in_floats(built(chain, grid, None, folder), EVERY_BYTE), result)
    model = built(chain, grid, result, folder)
    graph = import_graph(model)
    assert operators(graph) == ["Lookup", "Dequantise"]
    found = steps(oracle.run(graph, EVERY_BYTE), result)
    expected = steps(in_floats(model, EVERY_BYTE), result)
    near = np.abs(before_rounding % 1 - 0.5) < NEAR
    assert np.abs(found - expected)[~near].max() < 0.5
    assert np.abs(found - expected).max() < 1.5


def test_a_function_of_two_tensors_is_no_table(tmp_path: Path) -> None:
    m = QdqModel(8, 8, 3)
    x = m.quantized(m.conv(m.image(), 16, 3), 0.5, 128)
    other = m.quantized(m.conv(x, 16, 16), 0.5, 128)
    y = m.quantized(m.node("Mul", x, m.node("Sigmoid", other)), 0.5, 128)
    found = import_graph(m.save(m.node("Flatten", y), tmp_path / "model.onnx"))
    assert not any(isinstance(op, Lookup) for op in found.operators)


def test_what_is_no_number_anywhere_runs_in_float(tmp_path: Path) -> None:
    """The logarithm of a tensor with negative values."""
    model = built(node("Log"), (0.1, 128), (0.1, 128), tmp_path)
    assert "Island" in operators(import_graph(model))
