"""Operators of later opsets mean the same when they are written in opset 17."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipeline.errors import CheckpointError
from pipeline.models.foreign.normal_form.read_normal import read_normal
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save

Weights = dict[str, NDArray[np.generic]]


def node(operator: str, *inputs: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 - ONNX attributes
    return helper.make_node(operator, ["x", *inputs], ["y"], **attributes)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


GRID = np.tanh(floats(2, 4, 5, 2))
SAME: dict[str, tuple[int, Sequence[onnx.NodeProto], Weights]] = {
    "a mean whose axes are an input": (18, [node("ReduceMean", "axes")], {"axes": ints(2, 3)}),
    "a mean of negative axes": (18, [node("ReduceMean", "axes", keepdims=0)], {"axes": ints(-1, -2)}),
    "a mean whose axes follow from constants": (
        18,
        [
            helper.make_node("Cast", ["numbers"], ["whole"], to=onnx.TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "all"], ["axes"]),
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"]),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        {"numbers": np.array([[2, 3]], np.int32), "all": ints(-1)},
    ),
    **{
        f"samples of a grid, {mode}": (20, [node("GridSample", "grid", mode=mode)], {"grid": 0.8 * GRID})
        for mode in ("linear", "cubic", "nearest")
    },
    "a mean of everything": (18, [node("ReduceMean")], {}),
    "no axes, and nothing to be done": (18, [node("ReduceMax", noop_with_empty_axes=1)], {}),
    "a largest value": (20, [node("ReduceMax", "axes")], {"axes": ints(1)}),
    "a sum, whose axes were an input before": (18, [node("ReduceSum", "axes")], {"axes": ints(1)}),
    "a norm": (18, [node("ReduceL2", "axes")], {"axes": ints(3)}),
    "parts of equal number": (
        18,
        [
            helper.make_node("Split", ["x"], ["a", "b"], axis=2, num_outputs=2),
            helper.make_node("Sub", ["a", "b"], ["y"]),
        ],
        {},
    ),
    "padding of some axes": (
        18,
        [node("Pad", "pads", "", "axes", mode="reflect")],
        {"pads": ints(1, 2, 2, 1), "axes": ints(2, -1)},
    ),
    "padding of all axes": (21, [node("Pad", "pads")], {"pads": ints(0, 0, 1, 1, 0, 0, 2, 2)}),
    "resizing of some axes": (
        19,
        [node("Resize", "", "scales", axes=[2, 3], mode="linear")],
        {"scales": np.array([2, 2], np.float32)},
    ),
    "resizing of all axes, nothing special": (
        19,
        [node("Resize", "", "scales", mode="nearest", antialias=0, keep_aspect_ratio_policy="stretch")],
        {"scales": np.array([1, 1, 0.5, 0.5], np.float32)},
    ),
    "a pool without dilation": (
        22,
        [node("AveragePool", kernel_shape=[2, 2], strides=[2, 2], dilations=[1, 1])],
        {},
    ),
    "a cast": (19, [node("Cast", to=onnx.TensorProto.FLOAT, saturate=1)], {}),
    "GELU": (20, [node("Gelu")], {}),
    "GELU by tanh": (20, [node("Gelu", approximate="tanh")], {}),
    "HardSwish": (22, [node("HardSwish")], {}),
    "Mish": (18, [node("Mish")], {}),
    "group normalisation": (
        21,
        [node("GroupNormalization", "scale", "bias", num_groups=3, epsilon=1e-4)],
        {"scale": floats(3), "bias": floats(3)},
    ),
    "layer normalisation": (
        17,
        [node("LayerNormalization", "scale", axis=-1)],
        {"scale": floats(8)},
    ),
    "RMS normalisation": (23, [node("RMSNormalization", "scale")], {"scale": floats(8)}),
    "an old mean": (11, [node("ReduceMean", axes=[2, 3])], {}),
    "an old clip": (6, [node("Clip", min=0.0, max=1.0)], {}),
    "an old upsampling": (9, [node("Upsample", "scales")], {"scales": np.array([1, 1, 2, 2], np.float32)}),
    "an old padding": (9, [node("Pad", pads=[0, 0, 1, 1, 0, 0, 1, 1])], {}),
}


@pytest.mark.parametrize("name", SAME)
def test_the_rewritten_graph_computes_the_same(name: str, tmp_path: Path) -> None:
    opset, nodes, weights = SAME[name]
    model = graph(nodes, weights, opset=opset)
    normal = read_normal(save(model, tmp_path))
    onnx.checker.check_model(normal, full_check=True)
    assert [(o.domain, o.version) for o in normal.opset_import] == [("", 17)]
    x = floats(2, 3, 8, 8)
    np.testing.assert_allclose(run(normal, x), run(model, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("opset", "nodes", "weights", "told"),
    [
        (22, [node("AveragePool", kernel_shape=[2, 2], dilations=[2, 2])], {}, r"dilations = \[2, 2\]"),
        (
            18,
            [helper.make_node("Shape", ["x"], ["axes"], start=0, end=1), node("ReduceMean", "axes")],
            {},
            "ReduceMean 'y' computes its axes",
        ),
        (
            19,
            [node("Resize", "", "scales", antialias=1, mode="linear")],
            {"scales": np.array([1, 1, 0.5, 0.5], np.float32)},
            "antialias = 1",
        ),
        (18, [node("Col2Im", "size", "size")], {"size": ints(2, 2)}, "Col2Im 'y' is newer than opset 17"),
        (
            20,
            [
                helper.make_node("AffineGrid", ["turns", "size"], ["grid"]),
                node("GridSample", "grid"),
            ],
            {"turns": floats(2, 2, 3), "size": ints(2, 3, 8, 8)},
            "AffineGrid 'grid' is newer than opset 17",
        ),
    ],
    ids=["dilations", "computed axes", "antialias", "new", "defined by branches"],
)
def test_what_opset_17_has_no_words_for_is_refused_by_name(
    opset: int, nodes: Sequence[onnx.NodeProto], weights: Weights, told: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=told):
        read_normal(save(graph(nodes, weights, opset=opset), tmp_path))
