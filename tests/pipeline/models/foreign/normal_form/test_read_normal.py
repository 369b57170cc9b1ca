"""What exporters of all ages write differently is one form afterwards."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import CheckpointError
from pipeline.models.foreign.normal_form.read_normal import read_normal
from pipeline.models.foreign.onnx_file import read_onnx
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save

X = floats(2, 3, 8, 8)


def conv(opset: int = 17, ir: int = 8) -> onnx.ModelProto:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    return graph([node], {"w": floats(4, 3, 3, 3)}, opset=opset, ir=ir)


def test_weights_that_are_listed_as_inputs_are_weights(tmp_path: Path) -> None:
    model = conv(opset=9, ir=3)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    normal = read_normal(save(model, tmp_path))
    assert [value.name for value in normal.graph.input] == ["x"]
    np.testing.assert_allclose(run(normal, X), run(model, X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["value", "value_ints"])
def test_constants_that_are_nodes_are_weights(how: str, tmp_path: Path) -> None:
    shape = np.array([0, -1], np.int64)
    value = {"value": numpy_helper.from_array(shape)} if how == "value" else {"value_ints": [0, -1]}
    nodes = [
        helper.make_node("Constant", [], ["shape"], **value),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    normal = read_normal(save(graph(nodes), tmp_path))
    assert [node.op_type for node in normal.graph.node] == ["Reshape"]
    assert run(normal, X).shape == (2, 192)


def test_the_default_domain_may_be_spelled_and_imported_twice(tmp_path: Path) -> None:
    model = conv()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    model.graph.node[0].domain = "ai.onnx"
    normal = read_normal(save(model, tmp_path))
    assert [(o.domain, o.version) for o in normal.opset_import] == [("", 17)]
    assert {node.domain for node in normal.graph.node} == {""}


def test_functions_of_the_model_are_written_out(tmp_path: Path) -> None:
    add = helper.make_node("Add", ["a", "a"], ["b"])
    function = helper.make_function("theirs", "Twice", ["a"], ["b"], [add], [helper.make_opsetid("", 17)])
    node = helper.make_node("Twice", ["x"], ["y"], domain="theirs")
    model = graph([node], functions=[function], other_domains=["theirs"])
    normal = read_normal(save(model, tmp_path))
    np.testing.assert_array_equal(run(normal, X), 2 * X)


@pytest.mark.parametrize("half", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_is_widened_without_loss(half: int, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=half),
        helper.make_node("Conv", ["narrow", "w"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["y"], to=TensorProto.FLOAT),
    ]
    weights = helper.make_tensor("w", half, [4, 3, 3, 3], floats(4, 3, 3, 3).ravel())
    model = graph(nodes)
    model.graph.initializer.append(weights)
    model = onnx.shape_inference.infer_shapes(model)
    normal = read_normal(save(model, tmp_path))
    exact = numpy_helper.to_array(weights).astype(np.float32)
    np.testing.assert_array_equal(numpy_helper.to_array(normal.graph.initializer[0]), exact)
    expected = run(conv_of(exact), X)
    np.testing.assert_allclose(run(normal, X), expected, rtol=1e-6, atol=1e-6)


def conv_of(weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> onnx.ModelProto:
    return graph([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": weights})


def test_a_float16_input_becomes_float32(tmp_path: Path) -> None:
    model = graph([helper.make_node("Relu", ["x"], ["y"])], element=TensorProto.FLOAT16)
    normal = read_normal(save(model, tmp_path))
    np.testing.assert_array_equal(run(normal, X), np.maximum(X, 0))


def test_names_of_ours_are_theirs_and_every_node_has_one_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["image_mean"], "same"),
        helper.make_node("Neg", ["image_mean"], ["their_logits"], "same"),
        helper.make_node("Add", ["their_logits", "image"], ["logits"]),
        helper.make_node("Add", ["logits", "image_scale"], ["y"], "logits"),
    ]
    model = graph(nodes, {"image_scale": floats(1)}, input_name="image")
    normal = read_normal(save(without_repeated_names(model), tmp_path))
    tensors = {name for node in normal.graph.node for name in (*node.input, *node.output)}
    assert not {name for name in tensors if name in ("image", "logits") or name.startswith("image_")}
    names = [node.name for node in normal.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(run(normal, X), run(without_repeated_names(model), X), rtol=1e-6)


def without_repeated_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """onnxruntime, the judge, refuses them; the names are put back in the file that is read."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.name = ""
    return copy


def test_a_batch_norm_in_training_mode_is_refused_with_the_way_out(tmp_path: Path) -> None:
    statistics = {name: np.ones(3, np.float32) for name in ("s", "b", "m", "v")}
    node = helper.make_node(
        "BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "m2", "v2"], training_mode=1
    )
    with pytest.raises(CheckpointError, match=r"is in training mode.*Call model\.eval\(\) and export again"):
        read_normal(save(graph([node], statistics), tmp_path))


@pytest.mark.parametrize("opset", [9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [2.0, 1.5])
def test_resizing_of_old_opsets_is_where_it_was(opset: int, mode: str, scale: float, tmp_path: Path) -> None:
    """Until opset 10 pixels are at their place times the scale, rounded down: ONNX's converter forgets it."""
    operator = "Upsample" if opset == 9 else "Resize"
    node = helper.make_node(operator, ["x", "scales"], ["y"], mode=mode)
    scales = {"scales": np.array([1, 1, scale, scale], np.float32)}
    model = graph([node], scales, opset=opset)
    x = floats(2, 3, 8, 8)
    read = read_normal(save(model, tmp_path))
    np.testing.assert_allclose(run(read, x), run(model, x), rtol=1e-5, atol=1e-6)


def of_many_nodes() -> onnx.ModelProto:
    """A chain with a branch, and an If that reads a tensor of the graph around it."""
    branches = {
        name: helper.make_graph(
            [helper.make_node("Add", ["far", addend], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name, addend in (("then_branch", "far"), ("else_branch", "near"))
    }
    nodes = [
        helper.make_node("Relu", ["x"], ["near"]),
        helper.make_node("Sigmoid", ["near"], ["far"]),
        helper.make_node("ReduceMax", ["near"], ["top"], keepdims=0),
        helper.make_node("Cast", ["top"], ["any"], to=TensorProto.BOOL),
        helper.make_node("If", ["any"], ["chosen"], "if", **branches),
        helper.make_node("Mul", ["chosen", "near"], ["y"]),
    ]
    return graph(nodes)


@pytest.mark.parametrize("seed", range(3))
def test_nodes_may_stand_in_any_order(seed: int, tmp_path: Path) -> None:
    """onnxruntime sorts them too; AMD's Quark writes such files."""
    model = of_many_nodes()
    nodes = [model.graph.node[at] for at in np.random.default_rng(seed).permutation(len(model.graph.node))]
    mixed = onnx.ModelProto()
    mixed.CopyFrom(model)
    del mixed.graph.node[:]
    mixed.graph.node.extend(nodes)
    with pytest.raises(onnx.checker.ValidationError):
        onnx.checker.check_model(mixed)
    found = read_onnx(save(mixed, tmp_path))
    onnx.checker.check_model(found)
    np.testing.assert_array_equal(run(found, X), run(model, X))


def test_nodes_in_order_stay_in_it_and_a_circle_is_refused(tmp_path: Path) -> None:
    model = of_many_nodes()
    found = read_onnx(save(model, tmp_path)).graph.node
    assert [node.output[0] for node in found] == [node.output[0] for node in model.graph.node]
    model.graph.node[0].input[0] = "y"
    with pytest.raises(CheckpointError, match="is not a valid ONNX model"):
        read_onnx(save(model, tmp_path))
