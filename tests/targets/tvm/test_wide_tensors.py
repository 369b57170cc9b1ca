"""Activations of 16 bits: kernels of every instruction set equal the oracle, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from targets.errors import EngineError
from targets.tvm import oracle
from targets.tvm.floats.calls import FloatCall
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph, Island
from targets.tvm.isa import ISAS
from targets.tvm.kernels.conv import ConvKernel
from targets.tvm.lower import lower
from targets.tvm.machine_code import assembly
from targets.tvm.operators.float_boundary import Quantise
from targets.tvm.tensors import Tensor
from tests.calibration.conftest import pictures
from tests.targets.needs import native
from tests.targets.tvm.against_oracle import EMULATED, NetworkDraw, check, emulated, few_and_more
from tests.targets.tvm.extreme_convolutions import convolution
from tests.targets.tvm.meaning import in_floats
from tests.targets.tvm.qdq_model import QdqModel
from tests.targets.tvm.wide_graphs import wide_networks, with_wide
from tests.targets.tvm.wide_pixels import beyond_int32, depthwise, once_wrong, pixel_by_pixel
from tests.targets.tvm.wide_residuals import SAME, network, wide_residuals

SIZE = (8, 12, 3)
NATIVE = ["avx512vnni", "avxvnni", "avx512", "avx2", "sse4"]


@few_and_more(6, 8)
@pytest.mark.parametrize("name", NATIVE)
def test_random_networks_on_this_machine(name: str, draw: NetworkDraw) -> None:
    draw.check(wide_networks(), native(name), "wide")


@few_and_more(4, 4)
@pytest.mark.parametrize("name", list(EMULATED))
def test_random_networks_in_the_emulator(name: str, draw: NetworkDraw) -> None:
    draw.check(wide_networks(), emulated(name), "wide")


def products(graph: IntegerGraph) -> list[tuple[str, bool]]:
    """With i8mm: the instruction and whether rows are paired, of all but the first and the classifier."""
    kernels = [step.kernel for step in lower(graph, ISAS["i8mm"]).steps]
    found = [kernel for kernel in kernels if isinstance(kernel, ConvKernel)]
    return [(kernel.inner.mnemonic, kernel.windows.pairs is not None) for kernel in found[1:-1]]


@few_and_more(6, 10)
@pytest.mark.parametrize("pairs", [True, False], ids=["pairs", "pixels"])
def test_the_matrix_product_adds_and_writes_16_bits(pairs: bool, draw: NetworkDraw) -> None:
    isa = emulated("i8mm")
    alike = wide_residuals().filter(lambda graph: products(graph) == [("smmla", pairs)] * 3)
    draw.check(alike, isa, f"wide {pairs}")


def test_only_inputs_of_16_bits_keep_the_matrix_product_away() -> None:
    random = np.random.default_rng(0)
    x = Tensor("x", 8, 8, 32, (100,))
    op = convolution(x, 32, SAME, random)
    graph = network(x, [op], random)
    assert products(with_wide(graph, {op.output.name: 0})) == [("smmla", True)]
    assert products(with_wide(graph, {op.input.name: 0})) == [("sdot", False)]


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("name", NATIVE)
def test_convolutions_of_one_pixel_read_both_bytes(name: str, stride: tuple[int, int]) -> None:
    """Of 1 x 1 kernels only the pixels that are read are copied: with the strides of the convolution."""
    check(pixel_by_pixel(stride), native(name))


@pytest.mark.parametrize("name", list(EMULATED))
def test_convolutions_of_one_pixel_read_both_bytes_in_the_emulator(name: str) -> None:
    check(pixel_by_pixel((2, 1)), emulated(name))


@pytest.mark.parametrize("name", NATIVE)
def test_a_network_whose_low_bytes_were_not_read(name: str) -> None:
    """A random network that once went wrong on x86 without VNNI."""
    check(once_wrong(), native(name))


@pytest.mark.parametrize("zero", [0, 9, 65535])
@pytest.mark.parametrize("name", NATIVE)
def test_results_beyond_int32_are_at_the_ends_of_the_range(name: str, zero: int) -> None:
    check(beyond_int32(zero), native(name))


@pytest.mark.parametrize("zero", [0, 9, 65535])
@pytest.mark.parametrize("name", list(EMULATED))
def test_results_beyond_int32_are_at_the_ends_of_the_range_in_the_emulator(name: str, zero: int) -> None:
    check(beyond_int32(zero), emulated(name))


@pytest.mark.parametrize("channels", [16, 48, 72])
@pytest.mark.parametrize("name", NATIVE)
def test_depthwise_convolutions_of_any_width_read_and_write_16_bits(name: str, channels: int) -> None:
    check(depthwise(channels), native(name))


@pytest.mark.parametrize("name", ["avx512vnni", "avxvnni"])
def test_with_vnni_products_of_int16_are_added_by_the_same_instruction(name: str) -> None:
    """LLVM would make two instructions of it."""
    kernels = [step.kernel for step in lower(depthwise(64), ISAS[name]).steps[1:]]
    code = "\n".join(assembly(k.function("f"), ISAS[name]) for k in kernels if not isinstance(k, FloatCall))
    assert "vpdpwssd" in code
    assert "vpmaddwd" not in code


@pytest.mark.parametrize("name", NATIVE)
def test_int16_are_multiplied_where_they_are_stored(name: str) -> None:
    """Without VNNI only what has 8 bits is copied before, as int16."""
    steps = lower(depthwise(64), ISAS[name]).steps
    assert [step.node for step in steps if "widened" in step.node] in ([], ["x: widened"])


@pytest.mark.parametrize(
    ("kind", "zero"), [(np.uint16, 0), (np.uint16, 33000), (np.int16, 0), (np.int16, -9)]
)
def test_sums_products_and_pools_of_16_bits_mean_what_onnx_says(
    kind: type[np.generic], zero: int, tmp_path: Path
) -> None:
    """Integer operators alone; onnxruntime computes the same graph in float, node by node."""
    m = QdqModel(*SIZE, seed=3, opset=21)
    x = m.quantized(m.conv(m.image(), 16, 3), 0.004, zero, kind)
    y = m.quantized(m.node("Add", m.conv(x, 16, 1, group=16), x), 0.006, zero, kind)
    y = m.quantized(m.node("Relu", m.conv(y, 16, 16, 1)), 0.003, zero, kind)
    gate = m.quantized(m.node("GlobalAveragePool", y), 0.01, 0)
    y = m.quantized(m.node("Mul", y, gate), 0.02, zero, kind)
    y = m.quantized(m.node("GlobalAveragePool", y), 0.002, zero, kind)
    model = m.save(m.gemm(m.node("Flatten", y), 7, 16), tmp_path / "model.onnx")
    graph, images = import_graph(model), pictures(32, SIZE)
    assert not any(isinstance(op, Island) for op in graph.operators)
    found, expected = oracle.run(graph, images), in_floats(model, images)
    assert expected.std() > 0.1
    assert np.abs(found - expected).max() < 2e-3 * np.abs(expected).max()


def test_other_operators_read_16_bits_in_float(tmp_path: Path) -> None:
    m = QdqModel(*SIZE, seed=3, opset=21)
    x = m.quantized(m.conv(m.image(), 16, 3), 0.004, 30000, np.uint16)
    pooled = m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = m.quantized(m.node("Sigmoid", pooled), 1 / 255, 0)
    y = m.quantized(m.node("GlobalAveragePool", y), 1 / 255, 0)
    model = m.save(m.gemm(m.node("Flatten", y), 7, 16), tmp_path / "model.onnx")
    graph, images = import_graph(model), pictures(32, SIZE)
    assert any(isinstance(op, Island) for op in graph.operators)
    found, expected = oracle.run(graph, images), in_floats(model, images)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9999


def float_between(folder: Path) -> IntegerGraph:
    """A float operator that reads 16 bits, and whose result is rounded to 16 bits."""
    m = QdqModel(*SIZE, seed=3, opset=21)
    x = m.quantized(m.conv(m.image(), 16, 3), 0.004, 30000, np.uint16)
    x = m.quantized(m.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.005, 20000, np.uint16)
    x = m.quantized(m.node("GlobalAveragePool", x), 1 / 255, 0)
    graph = import_graph(m.save(m.gemm(m.node("Flatten", x), 7, 16), folder / "model.onnx"))
    assert any(isinstance(op, Island) for op in graph.operators)
    assert any(isinstance(op, Quantise) and op.output.wide for op in graph.operators)
    return graph


@pytest.mark.parametrize("name", NATIVE)
def test_float_operators_read_and_write_16_bits(name: str, tmp_path: Path) -> None:
    check(float_between(tmp_path), native(name))


@pytest.mark.parametrize("name", list(EMULATED))
def test_float_operators_read_and_write_16_bits_in_the_emulator(name: str, tmp_path: Path) -> None:
    check(float_between(tmp_path), emulated(name))


def test_a_table_of_16_bits_is_refused(tmp_path: Path) -> None:
    m = QdqModel(*SIZE, opset=21)
    x = m.quantized(m.conv(m.image(), 16, 3), 0.5, 128)
    y = m.quantized(m.node("Tanh", x), 1 / 32768, 0, np.int16)
    y = m.quantized(m.node("GlobalAveragePool", y), 0.01, 128)
    model = m.save(m.gemm(m.node("Flatten", y), 7, 16), tmp_path / "model.onnx")
    with pytest.raises(EngineError, match=r"it can give 8\. Quantise them to uint8"):
        import_graph(model)


def test_sums_that_could_leave_int32_are_refused(tmp_path: Path) -> None:
    m = QdqModel(*SIZE, opset=21)
    x = m.quantized(m.conv(m.image(), 96, 3), 0.004, 0, np.uint16)
    y = m.quantized(m.conv(x, 16, 96, 3), 1.0, 128)
    y = m.quantized(m.node("GlobalAveragePool", y), 0.1, 128)
    model = m.save(m.gemm(m.node("Flatten", y), 7, 16), tmp_path / "model.onnx")
    with pytest.raises(EngineError, match="more than an int32 holds"):
        import_graph(model)
