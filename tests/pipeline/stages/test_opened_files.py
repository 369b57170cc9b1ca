"""Every opening of a file is reported, by any code; a stat of it is not."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.pipeline.stages.opened_files import OpenedFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name in ("a", "deep/b"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def opened(folder: Path) -> OpenedFiles:
    found = OpenedFiles()
    found.watch(folder)
    return found


def test_in_python_in_c_and_in_a_child(folder: Path, opened: OpenedFiles) -> None:
    (folder / "a").read_text()
    assert opened.since_last_asked() == {folder / "a"}
    libc = ctypes.CDLL(None)
    libc.close(libc.open(bytes(folder / "deep/b"), 0))
    assert opened.since_last_asked() == {folder / "deep/b"}
    subprocess.run(["cat", folder / "a"], check=True, stdout=subprocess.DEVNULL)
    assert opened.since_last_asked() == {folder / "a"}


def test_sizes_names_and_listings_open_no_file(folder: Path, opened: OpenedFiles) -> None:
    assert (folder / "a").stat().st_size
    assert [path.name for path in sorted(folder.iterdir())] == ["a", "deep"]
    assert opened.since_last_asked() == set()


def test_weights_that_onnxruntime_opens(tmp_path: Path) -> None:
    """It reads data files in C++, of which Python hears nothing."""
    values = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "net",
        [values("x", TensorProto.FLOAT, [64])],
        [values("y", TensorProto.FLOAT, [64])],
        [numpy_helper.from_array(np.ones(64, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    opened = OpenedFiles()
    opened.watch(tmp_path)
    onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    assert {path.name for path in opened.since_last_asked()} == {"net.onnx", "w.data"}
