"""Graphs that TensorRT would refuse, or silently run in float: each is refused with one clear message."""

from pathlib import Path

import onnx
import pytest

from targets.errors import EngineError
from targets.registry import find_target
from targets.tensorrt import rtx
from tests.calibration.broken_graphs import BROKEN, Breaks, scale_of_one_dimension
from tests.targets.tensorrt.conftest import needs_rtx, quantized


@pytest.mark.parametrize(("breaks", "what"), BROKEN, ids=[what for _, what in BROKEN])
def test_a_bad_graph_is_refused_with_one_message(
    breaks: Breaks, what: str, int8_model: Path, tmp_path: Path
) -> None:
    model = onnx.load(int8_model)
    node = breaks(model.graph)
    onnx.save(model, tmp_path / "broken.onnx")
    target = find_target("jetson")
    with pytest.raises(EngineError) as error:
        target.build(tmp_path / "broken.onnx", tmp_path / target.engine_name)
    first, *messages = str(error.value).splitlines()
    assert first == "TensorRT would not run this graph as INT8:"
    about = [message for message in messages if what in message]
    assert len(about) == 1
    assert node in about[0] or " more: " in about[0]
    assert [path.name for path in tmp_path.iterdir()] == ["broken.onnx"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read as an ONNX model: it has no nodes"), (b"no model", "cannot be read as an ONNX")],
    ids=["empty", "noise"],
)
def test_a_file_that_is_no_graph_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    target = find_target("jetson")
    with pytest.raises(EngineError, match=message):
        target.build(tmp_path / "model.onnx", tmp_path / target.engine_name)


@needs_rtx
def test_rtx_names_the_convolution_that_would_run_in_float(int8_model: Path, tmp_path: Path) -> None:
    """What the lint refuses first: RTX is right about it too."""
    model = onnx.load(int8_model)
    scale_of_one_dimension(model.graph)
    onnx.save(model, tmp_path / "broken.onnx")
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with pytest.raises(EngineError, match=r"runs \d of \d convolutions of broken.onnx in float: ") as error:
        rtx.check_int8(tmp_path / "broken.onnx", convolutions, "SM86")
    named = str(error.value).partition("in float: ")[2].split(", ")
    assert set(named) <= set(convolutions)


@needs_rtx
def test_rtx_says_what_it_cannot_read(float_model: Path, tmp_path: Path) -> None:
    model = onnx.load(quantized(float_model, "w8a8_sym"))
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "NoSuchOperator"
    onnx.save(model, tmp_path / "unknown.onnx")
    with pytest.raises(EngineError, match=r"cannot read unknown\.onnx:\n.*NoSuchOperator"):
        rtx.check_compiles(tmp_path / "unknown.onnx", "SM86")
