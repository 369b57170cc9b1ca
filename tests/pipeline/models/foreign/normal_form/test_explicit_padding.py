"""What a node pads by itself is written down, and onnxruntime computes the same from it."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from pipeline.models.foreign.normal_form.explicit_padding import write_padding_down
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run

AUTOMATIC = ["SAME_UPPER", "SAME_LOWER", "VALID"]
sides = st.integers(9, 20)
kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


def padded_by_hand(model: onnx.ModelProto) -> onnx.ModelProto:
    written = onnx.ModelProto()
    written.CopyFrom(model)
    write_padding_down(written)
    onnx.checker.check_model(written, full_check=True)
    (node,) = written.graph.node
    names = {one.name for one in node.attribute}
    assert "pads" in names
    assert not names & {"auto_pad", "output_shape"}
    return written


@given(st.sampled_from(AUTOMATIC), sides, sides, kernels, strides)
def test_convolutions(
    automatic: str, h: int, w: int, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=automatic, strides=stride)
    model = graph([node], {"w": floats(2, 3, *kernel)}, shape=["N", 3, h, w])
    x = floats(2, 3, h, w)
    np.testing.assert_allclose(run(padded_by_hand(model), x), run(model, x), atol=1e-5)


@given(st.sampled_from(AUTOMATIC), sides, sides, st.sampled_from([2, 3, 4, 5]), st.sampled_from([2, 3]))
def test_dilated_convolutions_pad_as_their_undilated_form(
    automatic: str, h: int, w: int, kernel: int, dilation: int
) -> None:
    """onnxruntime refuses SAME with dilations, so the judge has the same kernel with zeros between."""
    weights = floats(2, 3, kernel, kernel)
    reach = (kernel - 1) * dilation + 1
    spread = np.zeros((2, 3, reach, reach), np.float32)
    spread[:, :, ::dilation, ::dilation] = weights
    node, judge = (
        helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=automatic, dilations=[step, step])
        for step in (dilation, 1)
    )
    shape: list[int | str] = ["N", 3, h + 8, w + 8]
    x = floats(2, 3, h + 8, w + 8)
    made = run(padded_by_hand(graph([node], {"w": weights}, shape=shape)), x)
    np.testing.assert_allclose(made, run(graph([judge], {"w": spread}, shape=shape), x), atol=1e-5)


@given(
    st.sampled_from(["MaxPool", "AveragePool"]), st.sampled_from(AUTOMATIC), sides, sides, kernels, strides
)
def test_pools(
    operator: str, automatic: str, h: int, w: int, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    stride = (min(stride[0], kernel[0]), min(stride[1], kernel[1]))  # onnxruntime runs no pool with gaps
    node = helper.make_node(operator, ["x"], ["y"], auto_pad=automatic, kernel_shape=kernel, strides=stride)
    model = graph([node], shape=["N", 3, h, w])
    x = floats(2, 3, h, w)
    np.testing.assert_allclose(run(padded_by_hand(model), x), run(model, x), atol=1e-5)


@given(st.sampled_from(AUTOMATIC), sides, sides, kernels, strides)
def test_transposed_convolutions(
    automatic: str, h: int, w: int, kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], auto_pad=automatic, strides=stride)
    model = graph([node], {"w": floats(3, 2, *kernel)}, shape=["N", 3, h, w])
    x = floats(2, 3, h, w)
    np.testing.assert_allclose(run(padded_by_hand(model), x), run(model, x), atol=1e-5)


@pytest.mark.parametrize("wanted", [(15, 15), (16, 17), (17, 16)])
@pytest.mark.parametrize("automatic", ["NOTSET", "SAME_UPPER"])
def test_transposed_convolutions_that_name_their_output(wanted: tuple[int, int], automatic: str) -> None:
    node = helper.make_node(
        "ConvTranspose", ["x", "w"], ["y"], auto_pad=automatic, strides=[2, 2], output_shape=wanted
    )
    model = graph([node], {"w": floats(3, 2, 3, 3)}, shape=["N", 3, 8, 8])
    x = floats(2, 3, 8, 8)
    np.testing.assert_allclose(run(padded_by_hand(model), x), run(model, x), atol=1e-5)


def test_what_has_pads_stays() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 0, 2, 1], auto_pad="NOTSET")
    model = graph([node], {"w": floats(2, 3, 3, 3)})
    before = model.SerializeToString()
    write_padding_down(model)
    assert model.SerializeToString() == before
