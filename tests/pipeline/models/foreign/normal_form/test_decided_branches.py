"""An If whose condition is stored is its branch before anything runs the model."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.models.foreign.onnx_file import read_onnx
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph, run, save


def branch(name: str, nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [helper.make_empty_tensor_value_info(output)])


def in_each_other(levels: int, is_then: bool, node: bool) -> onnx.ModelProto:
    """y = Abs(Neg(x)), or Abs(Exp(x)): a graph in the innermost If reads what the outermost branch made."""
    inner = {
        name: branch(name, [helper.make_node("Abs", ["made"], [f"{name}0"])], f"{name}0")
        for name in ("then", "else")
    }
    for level in range(levels):
        chosen = helper.make_node(
            "If", ["yes"], [f"o{level}"], then_branch=inner["then"], else_branch=inner["else"]
        )
        inner = {name: branch(name, [chosen], f"o{level}") for name in inner}
    for name, operator in (("then", "Neg"), ("else", "Exp")):
        inner[name].node.insert(0, helper.make_node(operator, ["x"], ["made"]))
    condition = np.array(is_then)
    nodes = [
        helper.make_node("If", ["yes"], ["y"], then_branch=inner["then"], else_branch=inner["else"]),
    ]
    if node:
        stored = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(condition, "yes"))
        return graph([stored, *nodes], {}, shape=["N", 3, 8, 9])
    return graph(nodes, {"yes": condition}, shape=["N", 3, 8, 9])


@pytest.mark.parametrize("node", [False, True], ids=["initializer", "Constant"])
@pytest.mark.parametrize("is_then", [False, True])
def test_branches_in_each_other_are_the_one_that_is_taken(tmp_path: Path, is_then: bool, node: bool) -> None:
    model = in_each_other(3, is_then, node)
    found = read_onnx(save(model, tmp_path))
    onnx.checker.check_model(found, full_check=True)
    kinds = [one.op_type for one in found.graph.node if one.op_type != "Constant"]
    assert kinds == ["Neg" if is_then else "Exp", "Abs"]
    x = floats(2, 3, 8, 9)
    np.testing.assert_array_equal(run(found, x), run(model, x))
