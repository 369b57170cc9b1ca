"""Vectors, flattened maps and maps with the channels last are written so that integer engines have them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipeline.models.foreign.normal_form.channels_last import write_channels_second
from pipeline.models.foreign.normal_form.flattened_maps import write_flattening_in_order
from pipeline.models.foreign.normal_form.sums_of_neighbours import write_local_response
from pipeline.models.foreign.normal_form.vectors_of_channels import keep_vectors_upright
from pipeline.models.foreign.simplify import drop_unused
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run

Node = Callable[..., onnx.NodeProto]
node: Node = helper.make_node
SHAPE = ("N", 6, 5, 4)
X = floats(2, 6, 5, 4)


def rewritten(model: onnx.ModelProto, write: Callable[[onnx.ModelProto], None]) -> list[str]:
    """The operators that are left; they compute the same as before."""
    expected = run(model, X)
    write(model)
    drop_unused(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model, X), expected, rtol=1e-5, atol=1e-5)
    return [one.op_type for one in model.graph.node]


@pytest.mark.parametrize("kind", ["Gemm", "Gemm of rows", "MatMul"])
@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 2, 1]])
def test_a_map_flattened_in_another_order_moves_no_value(kind: str, perm: list[int]) -> None:
    weight = floats(7, 120) if kind == "Gemm of rows" else floats(120, 7)
    ending = {"Gemm": {}, "Gemm of rows": {"transB": 1}, "MatMul": {}}[kind]
    nodes = [
        node("Transpose", ["x"], ["t"], perm=perm),
        node("Reshape", ["t", "shape"], ["flat"]),
        node(kind.partition(" ")[0], ["flat", "w"], ["y"], **ending),
    ]
    model = graph(nodes, {"w": weight, "shape": np.array([-1, 120])}, shape=SHAPE)
    assert rewritten(model, write_flattening_in_order) == ["Flatten", kind.partition(" ")[0]]


def test_a_map_whose_channels_come_before_the_images_keeps_its_transpose() -> None:
    """As torch.export writes `maps[:, order]`."""
    turn = {"perm": [1, 0, 2, 3]}
    nodes = [
        node("Transpose", ["x"], ["channels_first"], **turn),
        node("Gather", ["channels_first", "order"], ["ordered"]),
        node("ReduceMean", ["ordered"], ["means"], axes=[2, 3]),
        node("Transpose", ["means"], ["back"], **turn),
        node("Flatten", ["back"], ["flat"]),
        node("Gemm", ["flat", "w"], ["y"]),
    ]
    weights = {"order": np.array([2, 0, 1, 5, 4, 3]), "w": floats(6, 7)}
    assert rewritten(graph(nodes, weights, shape=SHAPE), write_flattening_in_order)[-3:] == [
        "Transpose",
        "Flatten",
        "Gemm",
    ]


def eca(conv: dict[str, Any], *, bias: bool = True) -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
    nodes = [
        node("GlobalAveragePool", ["x"], ["mean"]),
        node("Squeeze", ["mean", "last"], ["column"]),
        node("Transpose", ["column"], ["row"], perm=[0, 2, 1]),
        node("Conv", ["row", "w", *(["b"] if bias else [])], ["along"], **conv),
        node("Transpose", ["along"], ["back"], perm=[0, 2, 1]),
        node("Sigmoid", ["back"], ["gate"]),
        node("Unsqueeze", ["gate", "last"], ["gates"]),
        node("Mul", ["x", "gates"], ["y"]),
    ]
    weights = {"last": np.array([3 if bias else -1]), "w": floats(1, 1, 3), "b": floats(1)}
    return nodes, weights


@pytest.mark.parametrize(
    "conv", [{"pads": [1, 1]}, {"pads": [2, 2], "dilations": [2]}, {"pads": [0, 2]}], ids=str
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_along_channels_is_one_of_all_channels(conv: dict[str, Any], bias: bool) -> None:
    nodes, weights = eca(conv, bias=bias)
    nodes[-2] = node("Unsqueeze", ["gate", "last"], ["gates"])
    model = graph(nodes, weights, shape=SHAPE)
    assert rewritten(model, keep_vectors_upright) == ["GlobalAveragePool", "Conv", "Sigmoid", "Mul"]


def test_other_convolutions_along_channels_stay() -> None:
    nodes, weights = eca({"strides": [2], "pads": [1, 1]})
    model = graph([*nodes[:4], node("Identity", ["along"], ["y"])], weights, shape=SHAPE)
    assert "Squeeze" in rewritten(model, keep_vectors_upright)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_normalisation_is_a_convolution(size: int) -> None:
    model = graph([node("LRN", ["x"], ["y"], size=size, alpha=0.5, beta=0.75, bias=2.0)], shape=SHAPE)
    assert rewritten(model, write_local_response) == ["Mul", "Conv", "Pow", "Reciprocal", "Mul"]


def channel_average(pads: list[int], kernel: list[int]) -> onnx.ModelProto:
    nodes = [
        node("Unsqueeze", ["x", "one"], ["cube"]),
        node("Pad", ["cube", "pads"], ["padded"]),
        node("AveragePool", ["padded"], ["means"], kernel_shape=kernel, strides=[1, 1, 1]),
        node("Squeeze", ["means", "one"], ["y"]),
    ]
    return graph(nodes, {"one": np.array([1]), "pads": np.array(pads)}, shape=SHAPE)


def test_an_average_along_channels_is_a_convolution_and_others_stay() -> None:
    front, back = [0, 0, 2, 0, 0], [0, 0, 1, 0, 0]
    assert rewritten(channel_average(front + back, [4, 1, 1]), write_local_response) == ["Conv"]
    along_rows = channel_average([0, 0, 0, 2, 0, 0, 0, 0, 1, 0], [1, 4, 1])
    assert "AveragePool" in rewritten(along_rows, write_local_response)


def block(*middle: onnx.NodeProto) -> onnx.ModelProto:
    nodes = [
        node("Transpose", ["x"], ["last"], perm=[0, 2, 3, 1]),
        *middle,
        node("Transpose", ["z"], ["y"], perm=[0, 3, 1, 2]),
    ]
    weights = {
        "w": floats(6, 8),
        "b": floats(8),
        "v": floats(8, 6),
        "g": floats(6),
        "e": np.array(0.5, np.float32),
    }
    return graph(nodes, weights | {"ones": np.ones(6, np.float32)}, shape=SHAPE)


def test_products_of_the_last_dimension_are_convolutions() -> None:
    model = block(
        node("LayerNormalization", ["last", "ones", "g"], ["normed"], axis=-1),
        node("MatMul", ["normed", "w"], ["wide"]),
        node("Add", ["b", "wide"], ["summed"]),
        node("Mul", ["summed", "e"], ["scaled"]),
        node("Sigmoid", ["scaled"], ["gate"]),
        node("Mul", ["gate", "scaled"], ["swish"]),
        node("MatMul", ["swish", "v"], ["narrow"]),
        node("Mul", ["g", "narrow"], ["z"]),
    )
    kinds = rewritten(model, write_channels_second)
    assert kinds[:3] == ["Transpose", "LayerNormalization", "Transpose"]
    assert kinds[3:] == ["Conv", "Sigmoid", "Mul", "Conv", "Identity"]


def test_a_norm_written_out_has_its_channels_second_too() -> None:
    model = block(
        node("ReduceMean", ["last"], ["mean"], axes=[-1]),
        node("Sub", ["last", "mean"], ["centred"]),
        node("Mul", ["centred", "g"], ["scaled"]),
        node("MatMul", ["scaled", "w"], ["wide"]),
        node("Relu", ["wide"], ["r"]),
        node("MatMul", ["r", "v"], ["z"]),
    )
    kinds = rewritten(model, write_channels_second)
    assert kinds == ["ReduceMean", "Sub", "Mul", "Conv", "Relu", "Conv", "Identity"]


def test_what_is_read_with_the_channels_last_stays_so() -> None:
    model = block(
        node("MatMul", ["last", "w"], ["wide"]),
        node("Softmax", ["wide"], ["s"], axis=-1),
        node("MatMul", ["s", "v"], ["z"]),
    )
    assert rewritten(model, write_channels_second).count("Softmax") == 1
