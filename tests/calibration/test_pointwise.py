"""Which inputs of elementwise operators are quantised, on small graphs written by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import Edge, OnnxGraph
from calibration.placement import place
from calibration.pointwise import Elementwise
from calibration.recipe import QuantRecipe
from calibration.scheme import Scheme

CONSTANTS = {
    "w": np.ones((4, 3, 1, 1), np.float32),
    "v": np.ones((4, 4, 1, 1), np.float32),
    "three": np.float32(3),
    "six": np.float32(6),
    "zero": np.float32(0),
    "one": np.float32(1),
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
    ],
)
def test_what_an_engine_reads_is_quantised_and_nothing_between(nodes: Nodes, expected: set[str]) -> None:
    assert quantised(graph(nodes)) == expected | ENDS


@pytest.mark.parametrize("nodes", [SILU, HARD_SWISH, SCALED, GATE, HIGHWAY, NORM])
def test_under_w8a8_sym_functions_stay_between_a_convolution_and_its_q(nodes: Nodes) -> None:
    of_the_gate = {"c", "p"} if nodes is GATE else set()
    assert quantised(graph(nodes), Scheme.SYM) == ENDS | of_the_gate


def test_what_no_layer_reads_stays_in_float() -> None:
    """A score behind the last layer."""
    found = graph((("Relu", "c", "y"),)).model
    found.graph.node.append(helper.make_node("Sigmoid", ["logits"], ["score"], "score"))
    assert quantised(OnnxGraph(found)) == ENDS


def test_normalisation_in_front_of_the_first_layer_is_no_function_to_look_up() -> None:
    assert Elementwise(graph(SILU)).needed([Edge(4)]) == []
