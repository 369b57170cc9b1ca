"""Less usual members of the kinds that exporters write: read into the same numbers, or refused in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import CheckpointError
from pipeline.models.foreign.normal_form.decided_branches import refuse_open_branches, write_decided_branches
from pipeline.models.foreign.normal_form.read_normal import read_normal
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save

X = floats(2, 3, 8, 8)
CONTRIB = "com.microsoft"


def node(operator: str, inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 - ONNX's
    names = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(operator, names, output.split(), **attributes)


W = floats(4, 3, 3, 3)
STANDARD: dict[str, tuple[int, Sequence[onnx.NodeProto], dict[str, NDArray[Any]]]] = {
    "Swish without alpha": (24, [node("Swish", "x")], {}),
    "Swish": (24, [node("Swish", "x", alpha=1.7)], {}),
    "Split into parts of two sizes": (
        18,
        [node("Split", "x", "a y", axis=1, num_outputs=2)],
        {},
    ),
    "Resize of some axes to sizes": (
        18,
        [node("Resize", "x _ _ sizes", mode="linear", axes=[3, 2])],
        {"sizes": np.array([12, 16], np.int64)},
    ),
    "Resize larger with antialias": (
        19,
        [node("Resize", "x _ scales", mode="linear", antialias=1)],
        {"scales": np.array([1, 1, 2, 1.5], np.float32)},
    ),
    "Resize that is centred": (
        19,
        [node("Resize", "x _ scales", mode="linear", coordinate_transformation_mode="half_pixel_symmetric")],
        {"scales": np.array([1, 1, 2, 3], np.float32)},
    ),
    "further results of Dropout": (
        17,
        [node("Dropout", "x ratio", "d mask"), node("Cast", "mask", "m", to=1), node("Mul", "d m")],
        {"ratio": np.array(0.5, np.float32)},
    ),
}
CONTRIBUTED: dict[str, Sequence[onnx.NodeProto]] = {
    "FusedConv": [node("FusedConv", "x w", domain=CONTRIB, activation="Relu")],
    "FusedConv with a sum": [
        node("Conv", "x w", "z"),
        node("FusedConv", "x w b z", domain=CONTRIB, activation="LeakyRelu", activation_params=[0.2]),
    ],
    "FusedConv with Clip": [
        node("FusedConv", "x w", domain=CONTRIB, activation="Clip", activation_params=[-0.5, 1.0])
    ],
    "FusedMatMul": [node("FusedMatMul", "x square", domain=CONTRIB, transB=1, alpha=0.5)],
    "FusedGemm": [
        node("GlobalAveragePool", "x", "p"),
        node("Flatten", "p", "f"),
        node("FusedGemm", "f wide bias", domain=CONTRIB, activation="Relu"),
    ],
    "Gelu": [node("Gelu", "x", domain=CONTRIB)],
    "BiasGelu": [node("BiasGelu", "x row", domain=CONTRIB)],
    "FastGelu": [node("FastGelu", "x", domain=CONTRIB)],
    "FastGelu with a bias": [node("FastGelu", "x row", domain=CONTRIB)],
    "QuickGelu": [node("QuickGelu", "x", domain=CONTRIB), node("Identity", "y", "same")],
}
CONSTANTS = {
    "w": W,
    "b": floats(4),
    "square": floats(8, 8),
    "wide": floats(3, 5),
    "bias": floats(5),
    "row": floats(8),
}


@pytest.mark.parametrize("name", STANDARD)
def test_newer_operators_in_their_less_usual_forms(name: str, tmp_path: Path) -> None:
    opset, nodes, weights = STANDARD[name]
    model = graph(nodes, weights, opset=opset, ir=10)
    np.testing.assert_allclose(
        run(read_normal(save(model, tmp_path)), X), run(model, X), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", CONTRIBUTED)
def test_what_onnxruntime_fuses_is_written_out(name: str, tmp_path: Path) -> None:
    model = graph(CONTRIBUTED[name], CONSTANTS, opset=13, other_domains=[CONTRIB])
    normal = read_normal(save(model, tmp_path))
    assert {one.domain for one in normal.graph.node} == {""}
    np.testing.assert_allclose(run(normal, X), run(model, X), rtol=1e-4, atol=1e-5)


def test_functions_may_be_of_another_opset(tmp_path: Path) -> None:
    body = [helper.make_node("HardSwish", ["a"], ["b"])]
    function = helper.make_function("theirs", "Bend", ["a"], ["b"], body, [helper.make_opsetid("", 14)])
    model = graph([node("Bend", "x", domain="theirs")], functions=[function], other_domains=["theirs"])
    bent = X * np.clip(X / 6 + 0.5, 0, 1)
    np.testing.assert_allclose(run(read_normal(save(model, tmp_path)), X), bent, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["initialiser", "node"])
def test_sparse_weights_have_their_zeros(how: str, tmp_path: Path) -> None:
    whole = np.where(np.abs(W) > 1, W, 0).astype(np.float32)
    places = np.flatnonzero(whole)
    values = numpy_helper.from_array(whole.ravel()[places], "w")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places, "places"), whole.shape)
    model = graph([node("Conv", "x w")], {"w": whole})
    expected = run(model, X)
    del model.graph.initializer[:]
    if how == "initialiser":
        model.graph.sparse_initializer.append(sparse)
    else:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    np.testing.assert_allclose(run(read_normal(save(model, tmp_path)), X), expected, rtol=1e-5, atol=1e-6)


def test_a_network_in_float64_is_one_in_float32(tmp_path: Path) -> None:
    model = graph([node("Conv", "x w", "c"), node("Clip", "c low")], {"w": W, "low": np.array(0, np.float32)})
    expected = run(model, X)
    for tensor in model.graph.initializer:
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    np.testing.assert_allclose(run(read_normal(save(model, tmp_path)), X), expected, rtol=1e-5, atol=1e-6)


def test_inputs_that_nothing_reads_do_not_count(tmp_path: Path) -> None:
    model = graph([node("Relu", "x")])
    model.graph.input.append(helper.make_tensor_value_info("phase", TensorProto.BOOL, []))
    assert [value.name for value in read_normal(save(model, tmp_path)).graph.input] == ["x"]


ONES = {name: np.ones(3, np.float32) for name in ("s", "b", "m", "v")}
REFUSED: dict[str, tuple[int, Sequence[onnx.NodeProto], dict[str, NDArray[Any]], str]] = {
    "Dropout": (
        17,
        [node("Dropout", "x half yes")],
        {"half": np.array(0.5, np.float32), "yes": np.array(True)},
        r"Dropout 'y' is in training mode.*Call model\.eval\(\) and export again",
    ),
    "a batch norm that gives its statistics": (
        9,
        [node("BatchNormalization", "x s b m v", "y m2 v2 m3 v3")],
        ONES,
        r"is in training mode.*Call model\.eval\(\)",
    ),
    "random numbers": (17, [node("RandomNormalLike", "x")], {}, "draws random numbers.*Leave it out"),
    "another domain": (
        17,
        [node("Crop", "x", domain="theirs")],
        {},
        r"theirs \(Crop\)\. Export with standard",
    ),
    "onnxruntime's": (17, [node("Inverse", "x", domain=CONTRIB)], {}, r"Take the model before onnxruntime"),
    "a border that is cut off on both sides": (
        19,
        [node("Resize", "x _ s", coordinate_transformation_mode="half_pixel_symmetric")],
        {"s": np.array([1, 1, 1.3, 1], np.float32)},
        "half_pixel_symmetric",
    ),
    "an aspect ratio": (
        18,
        [node("Resize", "x _ _ s", axes=[2, 3], keep_aspect_ratio_policy="not_larger")],
        {"s": np.array([12, 16], np.int64)},
        "keeps the aspect ratio",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_right_answer_is_refused_by_name(name: str, tmp_path: Path) -> None:
    opset, nodes, weights, told = REFUSED[name]
    domains = [one.domain for one in nodes if one.domain]
    with pytest.raises(CheckpointError, match=told):
        read_normal(save(graph(nodes, weights, opset=opset, other_domains=domains), tmp_path))


def test_loops_are_refused_by_name(tmp_path: Path) -> None:
    numbers = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("go", 9))]
    carried = helper.make_tensor_value_info("v", TensorProto.FLOAT, ["N", 3, 8, 8])
    after = [
        helper.make_tensor_value_info("still", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, ["N", 3, 8, 8]),
    ]
    body = helper.make_graph(
        [node("Relu", "v", "w"), node("Identity", "go", "still")], "b", [*numbers, carried], after
    )
    model = graph([node("Loop", "three yes x", body=body)], {"three": np.array(3), "yes": np.array(True)})
    with pytest.raises(CheckpointError, match=r"Loop 'y' repeats a part.*by tracing"):
        read_normal(save(model, tmp_path))


def test_a_branch_that_the_image_decides_is_not_decided_by_a_black_one() -> None:
    """Once the branch of a black image was taken for all."""
    branches = {
        name: helper.make_graph(
            [node(operator, "x", name)], name, [], [helper.make_empty_tensor_value_info(name)]
        )
        for name, operator in (("then", "Relu"), ("else", "Neg"))
    }
    nodes = [
        node("ReduceMax", "x", "top", keepdims=0),
        node("Greater", "top zero", "bright"),
        node("If", "bright", then_branch=branches["then"], else_branch=branches["else"]),
    ]
    model = graph(nodes, {"zero": np.array(0, np.float32)})
    write_decided_branches(model)
    with pytest.raises(
        CheckpointError, match=r"If 'y' chooses what is computed by an image's values.*tracing"
    ):
        refuse_open_branches(model, Path("net.onnx"))
