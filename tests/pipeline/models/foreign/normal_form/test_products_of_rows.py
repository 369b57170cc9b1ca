"""A classifier without a bias, as of torch's Linear(bias=False), is a layer like any other."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from tests.pipeline.models.foreign.in_integers import check_integers
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, save

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
    check_integers(adopted("rows", tmp_path), tmp_path)
