"""What is decided, or the same, for every image is written down, and the answers stay."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.models.foreign.normal_form.constant_planes import take_out_constant_planes
from pipeline.models.foreign.normal_form.decided_branches import write_decided_branches
from pipeline.models.foreign.normal_form.free_batch import free_the_batch
from pipeline.models.foreign.normal_form.known_shapes import fix_the_size, write_computed_shapes
from pipeline.models.foreign.normal_form.read_normal import read_normal
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save


def branch(name: str, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [output])


def torchs_squeeze(dimension: int) -> onnx.ModelProto:
    """Squeeze a dimension if it is 1, as torch writes it where it does not know."""
    then = [helper.make_node("Relu", ["x"], ["inner"]), helper.make_node("Neg", ["inner"], ["out"])]
    other = [helper.make_node("Sigmoid", ["x"], ["inner"]), helper.make_node("Abs", ["inner"], ["out"])]
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "place"], ["side"]),
        helper.make_node("Equal", ["side", "eight"], ["is_eight"]),
        helper.make_node(
            "If",
            ["is_eight"],
            ["chosen"],
            then_branch=branch("then", then),
            else_branch=branch("else", other),
        ),
        helper.make_node("Exp", ["chosen"], ["y"]),
    ]
    return graph(nodes, {"place": np.array(dimension), "eight": np.array(8)}, shape=["N", 3, 8, 9])


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_branch_that_the_size_decides_is_written_in_place(dimension: int, tmp_path: Path) -> None:
    model = read_normal(save(torchs_squeeze(dimension), tmp_path))
    write_decided_branches(model)
    onnx.checker.check_model(model, full_check=True)
    assert "If" not in {node.op_type for node in model.graph.node}
    x = floats(3, 3, 8, 9)
    np.testing.assert_array_equal(run(model, x), run(torchs_squeeze(dimension), x))


def test_a_branch_that_the_images_number_decides_stays(tmp_path: Path) -> None:
    undecided = torchs_squeeze(0)
    next(t for t in undecided.graph.initializer if t.name == "eight").CopyFrom(
        onnx.numpy_helper.from_array(np.array(2), "eight")
    )
    model = read_normal(save(undecided, tmp_path))
    write_decided_branches(model)
    assert "If" in {node.op_type for node in model.graph.node}


def coordinates(images: int | str, first: bool) -> onnx.ModelProto:
    """CoordConv: two constant planes beside the image, repeated for each, in front or behind."""
    planes = floats(1, 2, 8, 8)
    given = ["places", "x"] if first else ["x", "places"]
    end = [
        helper.make_node("Concat", given, ["together"], axis=1),
        helper.make_node("Conv", ["together", "w", "bias"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Conv", ["together", "w", "bias"], ["b"], strides=[1, 1]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Mul", ["a", "c"], ["y"]),
    ]
    weights = {"w": floats(4, 5, 3, 3), "bias": floats(4)}
    if isinstance(images, int):
        repeated = np.repeat(planes, images, axis=0)
        return graph(end, {"places": repeated, **weights}, shape=[images, 3, 8, 8])
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=0, end=1),
        helper.make_node("Concat", ["shape", "rest"], ["whole"], axis=0),
        helper.make_node("Expand", ["planes", "whole"], ["places"]),
    ]
    numbers = {"planes": planes, "rest": np.array([2, 8, 8])}
    return graph([*nodes, *end], {**numbers, **weights}, shape=[images, 3, 8, 8])


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("images", ["N", 1, 4])
def test_planes_beside_the_images_become_a_map_that_is_added(
    images: int | str, first: bool, tmp_path: Path
) -> None:
    model = read_normal(save(coordinates(images, first), tmp_path))
    fix_the_size(model, "NCHW", (8, 8, 3))
    free_the_batch(model)
    write_computed_shapes(model)
    take_out_constant_planes(model)
    onnx.checker.check_model(model, full_check=True)
    x = floats(5, 3, 8, 8)
    expected = run(coordinates("N", first), x)
    for number in (1, 2, 5):
        np.testing.assert_allclose(run(model, x[:number]), expected[:number], rtol=1e-4, atol=1e-4)
