"""Convolutions and pools pad themselves, and onnxruntime computes the same from it."""

from typing import Any

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from pipeline.models.foreign.normal_form.merged_padding import merge_padding, write_averages_over_padding
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run

X = floats(2, 3, 9, 10)
BORDER = {"border": np.array([0, 0, 1, 2, 0, 0, 2, 1], np.int64)}
WEIGHTS: dict[str, NDArray[Any]] = {"w": floats(4, 3, 3, 3), **BORDER}
POOL: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]}
CONV = helper.make_node("Conv", ["p", "w"], ["y"])


def merged(*nodes: onnx.NodeProto, **weights: NDArray[Any]) -> tuple[list[str], NDArray[Any]]:
    """Compare with the graph as it was, and return what is left of it."""
    model = graph(list(nodes), WEIGHTS | weights, shape=("N", 3, 9, 10))
    expected = run(model, X)
    merge_padding(model)
    onnx.checker.check_model(model, full_check=True)
    found = run(model, X)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    return [node.op_type for node in model.graph.node], found


def pad(source: str = "x", *value: str) -> onnx.NodeProto:
    return helper.make_node("Pad", [source, "border", *value], ["p"])


RELU = helper.make_node("Relu", ["x"], ["r"])


def test_convolutions_and_pools_pad_themselves() -> None:
    assert merged(pad(), CONV)[0] == ["Conv"]
    assert merged(pad(), helper.make_node("AveragePool", ["p"], ["y"], **POOL))[0] == ["AveragePool"]
    assert merged(RELU, pad("r"), helper.make_node("MaxPool", ["p"], ["y"], **POOL))[0] == ["Relu", "MaxPool"]
    lowest = np.array(-np.inf, np.float32)
    top = helper.make_node("MaxPool", ["p"], ["y"], **POOL)
    assert merged(pad("x", "lowest"), top, lowest=lowest)[0] == ["MaxPool"]


def test_what_would_change_a_number_keeps_its_pad() -> None:
    one = np.array(1, np.float32)
    top = helper.make_node("MaxPool", ["p"], ["y"], **POOL)
    assert "Pad" in merged(pad(), top)[0]  # numbers below 0 would win over the border
    assert "Pad" in merged(pad("x", "one"), CONV, one=one)[0]
    uncounted = helper.make_node("AveragePool", ["p"], ["y"], pads=[1, 1, 1, 1], **POOL)
    assert "Pad" in merged(pad(), uncounted)[0]
    shared = [pad(), CONV, helper.make_node("Relu", ["p"], ["other"])]
    assert "Pad" in merged(*shared)[0]
    wide = np.array([0, 0, 3, 3, 0, 0, 3, 3], np.int64)
    assert "Pad" in merged(RELU, pad("r"), top, border=wide)[0]  # windows without a cell


sides = st.integers(5, 12)
pads = st.integers(0, 2)


@given(st.tuples(sides, sides), st.integers(3, 4), st.integers(1, 4), st.tuples(pads, pads, pads, pads))
def test_averages_whose_windows_reach_beyond_their_padding(
    size: tuple[int, int], kernel: int, stride: int, around: tuple[int, int, int, int]
) -> None:
    """Cells of the padding count, those beyond do not: torch's definition, and onnxruntime's."""
    attributes: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": around}
    node = helper.make_node("AveragePool", ["x"], ["y"], ceil_mode=1, count_include_pad=1, **attributes)
    model = graph([node], shape=("N", 2, *size))
    x = floats(2, 2, *size)
    expected = run(model, x)
    write_averages_over_padding(model)
    assert not any(one.name == "count_include_pad" and one.i for one in model.graph.node[-1].attribute)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-6)
