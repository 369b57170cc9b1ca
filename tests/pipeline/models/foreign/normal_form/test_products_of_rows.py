"""A classifier without a bias, as of torch's Linear(bias=False), is a layer like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from benchmarks.random_network import RandomNetwork, pictures, quantize_for, sqnr_db
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from targets.reference import ReferenceTarget
from targets.registry import find_target
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import Island
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save

SHAPE = (16, 16, 3)
WAYS = {
    "rows": [
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["y"]),
    ],
    "rows and a bias": [
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["t"]),
        helper.make_node("Add", ["t", "b"], ["y"]),
    ],
    "tokens": [
        helper.make_node("Reshape", ["r", "tokens"], ["c"]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t", "m"], ["u"]),
        helper.make_node("ReduceMean", ["u"], ["y"], axes=[1], keepdims=0),
    ],
}


def adopted(way: str, folder: Path) -> onnx.ModelProto:
    weights: dict[str, NDArray[Any]] = {
        "w": floats(8, 3, 3, 3),
        "m": floats(8, 10),
        "b": floats(10),
        "tokens": np.array([-1, 8, 256]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        *WAYS[way],
    ]
    file = save(graph(nodes, weights, shape=("N", 3, 16, 16)), folder)
    source = described(file, Description.model_validate({"size": [16, 16], "channels": 3}))
    return adopt(source, True, lambda _: None)


@pytest.mark.parametrize(
    ("way", "product"), [("rows", "Gemm"), ("rows and a bias", "Gemm"), ("tokens", "MatMul")]
)
def test_a_product_of_rows_becomes_a_gemm(way: str, product: str, tmp_path: Path) -> None:
    kinds = [node.op_type for node in adopted(way, tmp_path).graph.node]
    assert [kind for kind in kinds if kind in ("Gemm", "MatMul", "Add")] == [product]


def test_it_is_computed_in_integers(tmp_path: Path) -> None:
    onnx.save(adopted("rows", tmp_path), tmp_path / "model.onnx")
    shown = pictures(8, SHAPE, seed=1)
    subject = RandomNetwork("net", tmp_path / "model.onnx", shown, pictures(8, SHAPE, seed=2))
    made = import_graph(quantize_for(subject, find_target("host").recipe.name, tmp_path))
    with ReferenceTarget().open(subject.model) as runner:
        expected = runner.infer(shown)
    assert not any(isinstance(one, Island) for one in made.operators)
    assert (sqnr_db(oracle.run(made, shown), expected) or 0) > 35
