"""Sums, products and norms as exporters write them: all in integers, and what onnxruntime computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from targets.tvm.cpu_target import host_isa
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Island
from targets.tvm.isa import Isa
from targets.tvm.operators.float_boundary import Dequantise
from tests.targets.tvm.against_oracle import check, emulated
from tests.targets.tvm.meaning import check_meaning
from tests.targets.tvm.qdq_model import QdqModel

SIZE = (12, 12, 3)
Network = Callable[[QdqModel, str], str]


def vector(m: QdqModel, *shape: int, low: float = 0.5, high: float = 1.5) -> str:
    return m.constant(m.random.uniform(low, high, shape).astype(np.float32))


def product_of_tensors(m: QdqModel, x: str) -> str:
    return m.node("Mul", x, m.quantized(m.conv(x, 20, 20), 0.5, 130))


def gated_channels(m: QdqModel, x: str) -> str:
    mean = m.quantized(m.node("GlobalAveragePool", x), 0.1, 20)
    gate = m.node("Sigmoid", m.quantized(m.conv(mean, 20, 20, kernel=1), 0.05, 128))
    return m.node("Mul", m.quantized(gate, 1 / 255, 0), x)


def bounded_product(m: QdqModel, x: str) -> str:
    return m.node("Relu", product_of_tensors(m, x))


def norm_behind_add(m: QdqModel, x: str) -> str:
    total = m.quantized(m.node("Add", m.conv(x, 20, 20), x), 0.6, 120)
    centred = m.node("Sub", total, vector(m, 1, 20, 1, 1, low=-1, high=1))
    return m.node("Add", m.node("Mul", centred, vector(m, 20, 1, 1)), vector(m, 20, 1, 1))


def norm_by_division(m: QdqModel, x: str) -> str:
    return m.node("Relu", m.node("Div", m.node("Sub", vector(m, 20, 1, 1), x), vector(m, 1, 20, 1, 1)))


def norm_behind_concat(m: QdqModel, x: str) -> str:
    both = m.node("Concat", x, m.quantized(m.conv(x, 12, 20), 0.4, 100), axis=1)
    return m.node("Add", m.node("Mul", both, vector(m, 32, 1, 1)), vector(m, 32, 1, 1))


def one_number_for_a_concat(m: QdqModel, x: str) -> str:
    both = m.node("Concat", x, m.quantized(m.conv(x, 12, 20), 0.4, 100), axis=1)
    return m.node("Mul", both, m.constant(np.float32(0.7)))


def flat_product(m: QdqModel, x: str) -> str:
    mean = m.quantized(m.node("Flatten", m.node("GlobalAveragePool", x)), 0.1, 20)
    return m.node("Mul", mean, m.quantized(m.gemm(mean, 20, 20), 0.05, 128))


def prelu(m: QdqModel, x: str) -> str:
    return m.node("PRelu", m.quantized(m.conv(x, 20, 20), 0.5, 130), vector(m, 20, 1, 1, low=-0.5, high=0.5))


def largest_of_a_map(m: QdqModel, x: str) -> str:
    return m.node("GlobalMaxPool", m.quantized(m.conv(x, 20, 20), 0.5, 130))


NETWORKS: list[Network] = [
    prelu,
    largest_of_a_map,
    product_of_tensors,
    gated_channels,
    bounded_product,
    norm_behind_add,
    norm_by_division,
    norm_behind_concat,
    one_number_for_a_concat,
    flat_product,
]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)
def test_it_is_all_integers_and_means_what_onnxruntime_computes(network: Network, tmp_path: Path) -> None:
    m = QdqModel(*SIZE)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 20, 3)), 0.5, 0)
    y = m.quantized(network(m, x), 0.7, 128)
    model = m.save(m.node("Flatten", y), tmp_path / "model.onnx")
    assert not any(isinstance(op, Island) for op in import_graph(model).operators)
    check_meaning(model, SIZE)


@pytest.mark.parametrize("isa", [host_isa, lambda: emulated("dotprod")], ids=["host", "dotprod"])
@pytest.mark.parametrize("pool", [("GlobalAveragePool", {}), ("AveragePool", {"kernel_shape": [12, 12]})])
def test_a_pool_at_the_end_gives_its_sums_as_numbers(
    pool: tuple[str, dict[str, Any]], isa: Callable[[], Isa], tmp_path: Path
) -> None:
    m = QdqModel(*SIZE)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 20, 3)), 0.5, 3)
    model = m.save(m.node("Flatten", m.node(pool[0], x, **pool[1])), tmp_path / "model.onnx")
    graph = import_graph(model)
    assert not any(isinstance(op, Island | Dequantise) for op in graph.operators)
    check_meaning(model, SIZE)
    check(graph, isa())


def test_a_constant_of_another_shape_runs_in_float(tmp_path: Path) -> None:
    m = QdqModel(*SIZE)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 20, 3)), 0.5, 0)
    y = m.quantized(m.node("Mul", x, vector(m, 12, 12)), 0.7, 128)
    model = m.save(m.node("Flatten", y), tmp_path / "model.onnx")
    assert any(isinstance(op, Island) for op in import_graph(model).operators)
    check_meaning(model, SIZE)
