"""Text of an ONNX file that is not UTF-8 is named, wherever it stands."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from calibration.errors import ModelError
from calibration.onnx_graph import OnnxGraph
from pipeline.errors import CheckpointError
from pipeline.models.foreign.onnx_file import read_onnx

MARK = "MARK"
PLACES = ("tensor", "node", "operator", "attribute", "weight", "dimension", "metadata", "inner")


def _with_mark(place: str) -> onnx.ModelProto:
    """Return a small network whose text at one place is the mark."""

    def text(here: str, other: str) -> str:
        return MARK if place == here else other

    inner = helper.make_graph(
        [helper.make_node("Identity", ["w"], [text("inner", "b")])],
        "inner",
        [],
        [helper.make_tensor_value_info(text("inner", "b"), TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Relu", ["x"], [text("tensor", "r")], name=text("node", "n")),
        helper.make_node(text("operator", "Selu"), [text("tensor", "r")], ["s"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner),
    ]
    nodes[1].attribute.append(helper.make_attribute(text("attribute", "gamma"), 1.0))
    sides: list[int | str] = [text("dimension", "N"), 3]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
            helper.make_tensor(text("weight", "unread"), TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, {"author": text("metadata", "a")})
    return model


@pytest.mark.parametrize("place", PLACES)
def test_text_that_is_not_utf8_is_refused_by_name(place: str, tmp_path: Path) -> None:
    content = _with_mark(place).SerializeToString()
    assert MARK.encode() in content
    path = tmp_path / "x.onnx"
    path.write_bytes(content.replace(MARK.encode(), b"MA\xa0K"))
    with pytest.raises(CheckpointError, match="is not UTF-8"):
        read_onnx(path)
    with pytest.raises(ModelError, match="is not UTF-8"):
        OnnxGraph.load(path)


def test_names_of_other_scripts_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(_with_mark("tensor").SerializeToString().replace(MARK.encode(), "ΩΩ".encode()))
    assert "ΩΩ" in OnnxGraph.load(path).nodes[0].output
