"""Which inputs of elementwise operators are quantised, on small graphs written by hand."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.collect import collect
from calibration.lint import lint
from calibration.onnx_graph import Edge, OnnxGraph
from calibration.placement import place
from calibration.pointwise import Elementwise
from calibration.qdq import quantize
from calibration.recipe import QuantRecipe
from calibration.scheme import Scheme
from tests.calibration.conftest import pictures

CONSTANTS = {
    "w": np.ones((4, 3, 1, 1), np.float32),
    "v": np.ones((4, 4, 1, 1), np.float32),
    "three": np.float32(3),
    "six": np.float32(6),
    "zero": np.float32(0),
    "one": np.float32(1),
    "third": np.float32(1 / 3),
    "vector": np.ones((4, 1, 1), np.float32),
}


Nodes = tuple[tuple[str, str, str], ...]


def graph(nodes: Nodes) -> OnnxGraph:
    """Convolutions `x` and `c`, the nodes (operator, inputs, output), and a convolution of `y`."""
    made = [
        helper.make_node("Cast", ["image"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["a", "three"], ["b"]),
        helper.make_node("Mul", ["b", "six"], ["d"]),
        helper.make_node("Transpose", ["d"], ["pixels"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["pixels", "w"], ["x"]),
        helper.make_node("Conv", ["x", "v"], ["c"]),
        *(helper.make_node(op, inputs.split(), [output]) for op, inputs, output in nodes),
        helper.make_node("Conv", ["y", "v"], ["last"]),
        helper.make_node("GlobalAveragePool", ["last"], ["logits"]),
    ]
    for i, node in enumerate(made):
        node.name = f"{node.op_type}{i}"
    found = helper.make_graph(
        made,
        "hand",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4, 1, 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in CONSTANTS.items()],
    )
    model = helper.make_model(found, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return OnnxGraph(model)


def quantised(found: OnnxGraph, scheme: Scheme = Scheme.ASYM) -> set[str]:
    return set(place(found, QuantRecipe(scheme)).tensors) - {"pixels"}


ENDS = {"x", "y", "last"}
SILU = (("Sigmoid", "c", "s"), ("Mul", "c s", "y"))
HARD_SWISH = (
    ("Add", "c three", "more"),
    ("Clip", "more zero six", "bounded"),
    ("Mul", "c bounded", "product"),
    ("Div", "product six", "y"),
)
HIGHWAY = (
    ("Sigmoid", "c", "t"),
    ("Conv", "x v", "h"),
    ("Relu", "h", "r"),
    ("Mul", "r t", "m"),
    ("Sub", "one t", "rest"),
    ("Conv", "x v", "k"),
    ("Mul", "k rest", "n"),
    ("Add", "m n", "y"),
)
GATE = (("GlobalAveragePool", "c", "p"), ("Conv", "p v", "q"), ("HardSigmoid", "q", "g"), ("Mul", "c g", "y"))
GEM = (
    ("Clip", "c zero six", "k"),
    ("Mul", "k k", "square"),
    ("Mul", "square k", "cube"),
    ("GlobalAveragePool", "cube", "p"),
    ("Pow", "p third", "y"),
)
"""Generalised mean pooling (Radenovic et al. 2018)."""
NORM = (("Sub", "c vector", "m"), ("Mul", "m vector", "n"), ("Add", "n vector", "y"))
SCALED = (("HardSwish", "c", "s"), ("Mul", "s vector", "y"))
RESIDUAL = (("HardSwish", "c", "s"), ("Add", "s x", "y"))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param((("Relu", "c", "y"),), set(), id="a bound of a sum is fused"),
        pytest.param(SILU, set(), id="silu of a sum"),
        pytest.param(HARD_SWISH, set(), id="hard swish of a sum in four operators"),
        pytest.param(SCALED, set(), id="and its channels multiplied"),
        pytest.param((("Tanh", "c", "y"),), {"c"}, id="a table"),
        pytest.param((*SILU[:1], ("Mul", "c s", "u"), ("Mul", "u c", "y")), {"c"}, id="another function"),
        pytest.param((("Mul", "c c", "y"),), {"c"}, id="a square"),
        pytest.param((("HardSwish", "c", "s"), ("Add", "s c", "y")), {"c"}, id="a sum of functions of one"),
        pytest.param(RESIDUAL, {"s"}, id="a sum without a convolution"),
        pytest.param(GATE, {"c", "p", "q", "g"}, id="a gate for each channel"),
        pytest.param(HIGHWAY, {"c", "t", "r", "m", "rest", "k", "n"}, id="highway"),
        pytest.param(NORM, {"c"}, id="norm"),
        pytest.param(GEM, {"k"}, id="what a mean of powers is taken of"),
    ],
)
def test_what_an_engine_reads_is_quantised_and_nothing_between(nodes: Nodes, expected: set[str]) -> None:
    assert quantised(graph(nodes)) == expected | ENDS


@pytest.mark.parametrize("nodes", [SILU, HARD_SWISH, SCALED, GATE, HIGHWAY, NORM])
def test_under_w8a8_sym_functions_stay_between_a_convolution_and_its_q(nodes: Nodes) -> None:
    of_the_gate = {"c", "p"} if nodes is GATE else set()
    assert quantised(graph(nodes), Scheme.SYM) == ENDS | of_the_gate


@pytest.mark.parametrize("scheme", Scheme)
def test_the_mean_of_powers_is_as_exact_as_the_mean(scheme: Scheme, tmp_path: Path) -> None:
    """In 8 bits x^3 has 15 dB. Nor does the lint ask for a rounded x^3."""
    mean = (*GEM[:1], ("GlobalAveragePool", "k", "y"))
    powers, plain = (_decibels(nodes, scheme, tmp_path) for nodes in (GEM, mean))
    assert powers > plain - 3
    assert lint(tmp_path / "q.onnx", scheme) == []


def _decibels(nodes: Nodes, scheme: Scheme, folder: Path) -> float:
    """The ratio of the logits to what quantisation changes."""
    float_graph, quantised_graph = folder / "float.onnx", folder / "q.onnx"
    images = pictures(8, (8, 8, 3))
    onnx.save(with_random_weights(graph(nodes)), float_graph)
    recipe = QuantRecipe(scheme)
    quantize(float_graph, collect(float_graph, [images], recipe), recipe, quantised_graph)
    wanted, found = (logits(path, images) for path in (float_graph, quantised_graph))
    return float(10 * np.log10((wanted**2).sum() / ((found - wanted) ** 2).sum()))


def logits(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def with_random_weights(found: OnnxGraph) -> onnx.ModelProto:
    draw = np.random.default_rng(3)
    for name in "wv":
        values = np.asarray(draw.standard_normal(found.initializers[name].dims) / 100, np.float32)
        found.initializers[name].CopyFrom(numpy_helper.from_array(values, name))
    return found.model


def test_what_no_layer_reads_stays_in_float() -> None:
    """A score behind the last layer."""
    found = graph((("Relu", "c", "y"),)).model
    found.graph.node.append(helper.make_node("Sigmoid", ["logits"], ["score"], "score"))
    assert quantised(OnnxGraph(found)) == ENDS


def test_normalisation_in_front_of_the_first_layer_is_no_function_to_look_up() -> None:
    assert Elementwise(graph(SILU)).needed([Edge(4)]) == []
