"""A graph that was exported for some number of images takes any, with the same answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline.models.foreign.normal_form.free_batch import free_the_batch
from pipeline.models.foreign.normal_form.known_shapes import fix_the_size, write_computed_shapes
from pipeline.models.foreign.normal_form.read_normal import read_normal
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save


def shuffle(batch: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Reshape", ["x", "grouped"], ["a"]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["b", "flat"], ["y"]),
    ]
    shapes = {"grouped": np.array([batch, 2, 3, 8, 8]), "flat": np.array([batch, 6, 8, 8])}
    return graph(nodes, shapes, shape=[batch, 6, 8, 8])


def merged(batch: int) -> onnx.ModelProto:
    """Images and channels are one dimension for a while."""
    nodes = [
        helper.make_node("Reshape", ["x", "apart"], ["a"]),
        helper.make_node("ReduceMax", ["a"], ["b"], axes=[1]),
        helper.make_node("Reshape", ["b", "back"], ["y"]),
    ]
    shapes = {"apart": np.array([6 * batch, 64]), "back": np.array([batch, 6])}
    return graph(nodes, shapes, shape=[batch, 6, 8, 8])


def resized(batch: int, side: int) -> onnx.ModelProto:
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="nearest")
    return graph([node], {"sizes": np.array([batch, 6, side, side])}, shape=[batch, 6, 8, 8])


def expanded(batch: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["a"], axes=[2, 3]),
        helper.make_node("Expand", ["a", "shape"], ["y"]),
    ]
    return graph(nodes, {"shape": np.array([batch, 6, 8, 8])}, shape=[batch, 6, 8, 8])


def with_constants(batch: int) -> onnx.ModelProto:
    """A constant that was repeated for every image."""
    rows = np.repeat(floats(1, 6, 1, 8), batch, 0)
    nodes = [helper.make_node("Mul", ["x", "factor"], ["a"]), helper.make_node("Flatten", ["a"], ["y"])]
    return graph(nodes, {"factor": rows}, shape=[batch, 6, 8, 8])


def with_expanded_bias(batch: int) -> onnx.ModelProto:
    """A bias made of one number, as torch's present exporter writes it when it does not optimise."""
    nodes = [
        helper.make_node("Expand", ["number", "channels"], ["bias"]),
        helper.make_node("Conv", ["x", "weight", "bias"], ["y"]),
    ]
    given = {"number": np.float32(0.5), "channels": np.array([4]), "weight": floats(4, 6, 3, 3)}
    return graph(nodes, {k: np.asarray(v) for k, v in given.items()}, shape=[batch, 6, 8, 8])


def with_coordinates(batch: int) -> onnx.ModelProto:
    """The coordinates of CoordConv."""
    rows = np.repeat(floats(1, 2, 8, 8), batch, 0)
    nodes = [helper.make_node("Concat", ["x", "places"], ["y"], axis=1)]
    return graph(nodes, {"places": rows}, shape=[batch, 6, 8, 8])


def sampled(batch: int) -> onnx.ModelProto:
    """Samples of a grid, as a spatial transformer with fixed parameters has it."""
    rows = np.repeat(np.tanh(floats(1, 5, 5, 2)), batch, 0)
    return graph(
        [helper.make_node("GridSample", ["x", "grid"], ["y"])], {"grid": rows}, shape=[batch, 6, 8, 8]
    )


def attending(batch: int, *, apart: bool = False) -> onnx.ModelProto:
    """Self-attention as torch writes it: sequences come first, then images, which heads join."""
    turned: dict[str, Any] = {"perm": [1, 0, 2]}
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["tokens"]),
        helper.make_node("Transpose", ["tokens"], ["sequences"], **turned),
        helper.make_node("Reshape", ["sequences", "heads"], ["split"]),
        helper.make_node("Transpose", ["split"], ["queries"], **turned),
        helper.make_node("Transpose", ["queries"], ["keys"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["queries", "keys"], ["products"]),
        helper.make_node("Softmax", ["products"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "queries"], ["mixed"]),
        helper.make_node("Transpose", ["mixed"], ["back"], **turned),
        helper.make_node("Reshape", ["back", "flat"], ["features"]),
        helper.make_node("Gemm", ["features", "w"], ["layer"]),
        helper.make_node("Reshape", ["layer", "sequence"], ["again"]),
        helper.make_node("Transpose", ["again"], ["images"], **turned),
        helper.make_node("ReduceMean", ["images"], ["y"], axes=[1], keepdims=0),
    ]
    shapes = {
        "rows": [batch, 6, 64],
        "heads": [6, batch, 4, 16] if apart else [6, 4 * batch, 16],
        "flat": [6 * batch, 64],
        "sequence": [6, batch, 64],
    }
    if apart:
        nodes[3] = helper.make_node("Transpose", ["split"], ["queries"], perm=[1, 2, 0, 3])
        nodes[4] = helper.make_node("Transpose", ["queries"], ["keys"], perm=[0, 1, 3, 2])
        nodes[8] = helper.make_node("Transpose", ["mixed"], ["back"], perm=[2, 0, 1, 3])
    given = {name: np.array(shape) for name, shape in shapes.items()}
    return graph(nodes, {**given, "w": 0.1 * floats(64, 64)}, shape=[batch, 6, 8, 8])


MODELS = {
    "attention": attending,
    "attention with heads apart": lambda batch: attending(batch, apart=True),
    "coordinates joined": with_coordinates,
    "samples of a grid": sampled,
    "a bias that is expanded": with_expanded_bias,
    "a constant for every image": with_constants,
    "channels shuffled": shuffle,
    "images and channels merged": merged,
    "enlarged twice": lambda batch: resized(batch, 16),
    "enlarged to 13": lambda batch: resized(batch, 13),
    "expanded": expanded,
}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", MODELS)
def test_any_number_of_images_gives_what_each_gives_alone(name: str, batch: int, tmp_path: Path) -> None:
    model = read_normal(save(MODELS[name](batch), tmp_path))
    free_the_batch(model)
    onnx.checker.check_model(model, full_check=True)
    x = floats(5, 6, 8, 8)
    repeated = [run(MODELS[name](batch), np.repeat(one[None], batch, 0))[:1] for one in x]
    for number in (1, 2, 5):
        np.testing.assert_allclose(run(model, x[:number]), np.concatenate(repeated[:number]), rtol=1e-5)


def test_shapes_that_are_computed_are_written_down(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["images"]),
        helper.make_node("Concat", ["images", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["y"]),
    ]
    numbers = {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([2, -1])}
    model = read_normal(save(graph(nodes, numbers, shape=["N", 6, "H", "W"]), tmp_path))
    fix_the_size(model, "NCHW", (8, 8, 6))
    write_computed_shapes(model)
    constants = {t.name: onnx.numpy_helper.to_array(t).tolist() for t in model.graph.initializer}
    shapes = [constants.get(n.input[1]) for n in model.graph.node if n.op_type == "Reshape"]
    assert shapes == [[-1, 2, 192], [-1, 6, 8, 8]]
    x = floats(3, 6, 8, 8)
    np.testing.assert_array_equal(run(model, x), x)


@pytest.mark.parametrize("made", [with_coordinates, sampled, attending])
def test_one_row_beside_any_number_of_images_is_for_each(
    made: Callable[[int], onnx.ModelProto], tmp_path: Path
) -> None:
    """Exporters free the batch of the input, and leave constants at the one image of the trace."""
    file = made(1)
    file.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    file.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    model = read_normal(save(file, tmp_path))
    free_the_batch(model)
    x = floats(5, 6, 8, 8)
    alone = np.concatenate([run(made(1), one[None]) for one in x])
    np.testing.assert_allclose(run(model, x), alone, rtol=1e-5)
