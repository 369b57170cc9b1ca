"""Operators that ONNX had as experimental ones until opset 8 mean what onnxruntime still computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from pipeline.models.foreign.normal_form.read_normal import read_normal
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save

EARLY: list[tuple[str, dict[str, Any]]] = [
    ("ImageScaler", {"scale": 0.5, "bias": [1.0, -2.0, 0.25]}),
    ("Affine", {"alpha": -2.0, "beta": 1.0}),
    ("Scale", {"scale": 3.0}),
    ("Scale", {}),
    ("ScaledTanh", {"alpha": 2.0, "beta": 0.5}),
    ("ParametricSoftplus", {"alpha": 2.0, "beta": 0.5}),
    ("Crop", {"border": [1, 2, 3, 0]}),
    ("Crop", {"border": [1, 2, 0, 0], "scale": [4, 5]}),
]


@pytest.mark.parametrize("opset", [6, 8])
@pytest.mark.parametrize(("operator", "attributes"), EARLY, ids=str)
def test_an_early_operator(operator: str, attributes: dict[str, Any], opset: int, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node(operator, ["r"], ["e"], "early", **attributes),
        helper.make_node("Neg", ["e"], ["y"]),
    ]
    theirs = graph(nodes, opset=opset, shape=(1, 3, 8, 8), ir=3)
    x = floats(1, 3, 8, 8)
    ours = read_normal(save(theirs, tmp_path))
    assert operator not in {node.op_type for node in ours.graph.node}
    np.testing.assert_allclose(run(ours, x), run(theirs, x), rtol=1e-5, atol=1e-6)


def test_an_early_operator_at_the_end(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Affine", ["r"], ["y"], alpha=2.0)]
    theirs = graph(nodes, opset=7, shape=(1, 3, 8, 8), ir=3)
    x = floats(1, 3, 8, 8)
    np.testing.assert_allclose(run(read_normal(save(theirs, tmp_path)), x), run(theirs, x), rtol=1e-6)
