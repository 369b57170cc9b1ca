"""Operators that later stages lack are written with those that they have, and compute the same."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from pipeline.models.foreign.normal_form.norms_of_rows import fold_norms_of_rows
from pipeline.models.foreign.normal_form.one_dimension import write_in_two_dimensions
from pipeline.models.foreign.normal_form.powers import write_powers_as_products
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run


@pytest.mark.parametrize(
    "exponent", [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.75, 3.0, 4.0, -0.25, -0.5, -1.0, -2.0]
)
def test_powers_are_products_and_roots(exponent: float) -> None:
    model = graph([helper.make_node("Pow", ["x", "e"], ["y"])], {"e": np.array(exponent, np.float32)})
    x = np.abs(floats(2, 3, 8, 8)) + np.float32(0.1)
    expected = run(model, x)
    write_powers_as_products(model)
    onnx.checker.check_model(model, full_check=True)
    assert "Pow" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-6)


@pytest.mark.parametrize("exponent", [0.3, 4.5])
def test_other_powers_stay(exponent: float) -> None:
    model = graph([helper.make_node("Pow", ["x", "e"], ["y"])], {"e": np.array(exponent, np.float32)})
    write_powers_as_products(model)
    assert [node.op_type for node in model.graph.node] == ["Pow"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1]},
        {"strides": [2], "pads": [2, 0], "dilations": [2]},
        {"group": 2},
        {"auto_pad": "SAME_UPPER"},
    ],
    ids=str,
)
def test_convolutions_along_one_dimension_are_those_of_maps(attributes: dict[str, Any]) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["line"], axes=[3], keepdims=0),
        helper.make_node("Conv", ["line", "w", "b"], ["y"], **attributes),
    ]
    planes = 2 if "group" in attributes else 4
    model = graph(nodes, {"w": floats(6, planes, 3), "b": floats(6)}, shape=["N", 4, 8, 8])
    x = floats(2, 4, 8, 8)
    expected = run(model, x)
    write_in_two_dimensions(model)
    onnx.checker.check_model(model, full_check=True)
    assert {len(t.dims) for t in model.graph.initializer if t.name.endswith("weight")} == {4}
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("read_again", [False, True])
@pytest.mark.parametrize("rows", ["Flatten", "Reshape"])
def test_norms_of_rows_are_taken_into_the_product_in_front(rows: str, read_again: bool) -> None:
    """LeViT's: a product for each of [N, 3, 8] vectors, flattened to rows for the norm."""
    statistics = {
        "s": floats(6) + 2,
        "b": floats(6),
        "m": floats(6),
        "v": np.abs(floats(6)) + np.float32(0.5),
    }
    flat = (
        helper.make_node("Flatten", ["product"], ["rows"], axis=3)
        if rows == "Flatten"
        else helper.make_node("Reshape", ["product", "shape"], ["rows"])
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        flat,
        helper.make_node("BatchNormalization", ["rows", "s", "b", "m", "v"], ["normed"], epsilon=0.1),
        helper.make_node("Add", ["normed", "rows"] if read_again else ["normed", "b"], ["y"]),
    ]
    model = graph(nodes, {"w": floats(8, 6), "shape": np.array([-1, 6]), **statistics})
    x = floats(2, 3, 8, 8)
    expected = run(model, x)
    fold_norms_of_rows(model)
    onnx.checker.check_model(model, full_check=True)
    assert ("BatchNormalization" in {node.op_type for node in model.graph.node}) is read_again
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-5)
