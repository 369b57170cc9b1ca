"""Reading an ONNX file's input without the onnx package, against that package."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from targets.runtime.tensorrt.engine import EngineProblem
from targets.runtime.tensorrt.onnx_input import OnnxInput

DIMENSIONS = st.lists(st.one_of(st.integers(0, 2**40), st.just("N")), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=200), shape=DIMENSIONS)
def test_it_reads_what_onnx_wrote(tmp_path: Path, name: str, shape: list[int | str]) -> None:
    image = helper.make_tensor_value_info(name, TensorProto.UINT8, shape)
    second = helper.make_tensor_value_info("second", TensorProto.FLOAT, [1])
    weights = numpy_helper.from_array(np.arange(300.0), "weights")
    node = helper.make_node("Identity", [name], ["logits"])
    graph = helper.make_graph([node], "made-up", [image, second], [second], [weights])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    found = OnnxInput.read(tmp_path / "model.onnx")
    assert found == OnnxInput(name, tuple(-1 if d == "N" else int(d) for d in shape))


@pytest.mark.parametrize("content", [b"", b"no ONNX file", b"\x3a\xff\xff", b"\x3a\x00", b"\xff" * 40])
def test_what_is_no_onnx_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(EngineProblem, match=r"a\.onnx is not an ONNX file"):
        OnnxInput.read(tmp_path / "a.onnx")
