"""Weights in files of their own are inputs like any other: all are found, and none may lie elsewhere."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.errors import CheckpointError
from pipeline.models.foreign.external_data import external_files, input_onnx, tensors
from tests.pipeline.models.foreign.networks import export, make
from tests.pipeline.models.foreign.plain_networks import VggLike


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A network whose weights lie in two files, one of them in a folder below."""
    folder = tmp_path / "net"
    folder.mkdir()
    path = export(make(VggLike), folder / "net.onnx")
    model = onnx.load(path)
    (folder / "deep" / "er").mkdir(parents=True)
    for number, tensor in enumerate(model.graph.initializer):
        keep(tensor, folder, "net.data" if number % 2 else "deep/er/more.bin")
    onnx.save(model, path)
    return path


def keep(tensor: TensorProto, folder: Path, location: str) -> None:
    """Move a tensor's bytes to the end of a file."""
    content = numpy_helper.to_array(tensor).tobytes()
    with (folder / location).open("ab") as file:
        offset = file.tell()
        file.write(content)
    for field in ("raw_data", "float_data", "int64_data"):
        tensor.ClearField(field)
    name(tensor, location, offset=offset, length=len(content))


def name(tensor: TensorProto, location: str, **place: int) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in {"location": location, **place}.items():
        tensor.external_data.add(key=key, value=str(value))


def renamed(net: Path, location: str, **place: int) -> Path:
    model = onnx.load(net, load_external_data=False)
    name(model.graph.initializer[0], location, **place)
    onnx.save(model, net)
    return net


def test_all_files_are_found(net: Path) -> None:
    assert external_files(net) == (net.parent / "deep/er/more.bin", net.parent / "net.data")


def test_a_model_in_one_file_has_none(tmp_path: Path) -> None:
    assert external_files(export(make(VggLike), tmp_path / "net.onnx")) == ()


def test_a_byte_in_any_of_them_is_another_input(net: Path) -> None:
    digests = {input_onnx(net).digest}
    for file in external_files(net):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        digests.add(input_onnx(net).digest)
    assert len(digests) == 3


def test_two_data_files_cannot_change_places_unnoticed(net: Path) -> None:
    before = input_onnx(net).digest
    one, two = external_files(net)
    content = [one.read_bytes(), two.read_bytes()]
    longest = max(map(len, content))
    one.write_bytes(content[1].ljust(longest, b"-"))
    two.write_bytes(content[0].ljust(longest, b"-"))
    assert input_onnx(net).digest != before


@pytest.mark.parametrize(
    "location", ["../elsewhere.bin", "/etc/passwd", "deep/../../elsewhere.bin", "link.bin", "linked/x.bin"]
)
def test_what_leads_out_of_the_folder_is_refused(net: Path, location: str) -> None:
    elsewhere = net.parent.parent / "elsewhere.bin"
    elsewhere.write_bytes(bytes(4096))
    (net.parent / "link.bin").symlink_to(elsewhere)
    (net.parent.parent / "folder").mkdir()
    shutil.copy(elsewhere, net.parent.parent / "folder" / "x.bin")
    (net.parent / "linked").symlink_to(net.parent.parent / "folder")
    with pytest.raises(CheckpointError, match="leads out of its folder; nothing was read"):
        external_files(renamed(net, location))


def test_a_missing_file_is_named(net: Path) -> None:
    (net.parent / "net.data").unlink()
    with pytest.raises(CheckpointError, match=r"net\.data, which is not there"):
        external_files(net)


def test_a_cut_file_is_named(net: Path) -> None:
    file = net.parent / "net.data"
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(
        CheckpointError, match=rf"net\.data, which has {size - 1:,} bytes of at least {size:,}"
    ):
        external_files(net)


@pytest.mark.parametrize(
    ("location", "place"),
    [("", {}), (".", {}), ("a\0b", {}), ("net.data", {"offset": -8}), ("net.data", {"length": -1})],
)
def test_places_that_are_none_are_refused(net: Path, location: str, place: dict[str, int]) -> None:
    with pytest.raises(CheckpointError, match="Export the model again"):
        external_files(renamed(net, location, **place))


def test_a_tensor_that_says_twice_where_it_is_is_refused(net: Path) -> None:
    model = onnx.load(net, load_external_data=False)
    first = next(one for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL)
    first.external_data.insert(0, onnx.StringStringEntryProto(key="location", value="../elsewhere"))
    net.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="says twice where it is"):
        external_files(net)


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (bytes(range(200, 256)), 1, r"is not a valid ONNX model.*Copy it again"),
        (b"no protobuf", 2, "is text, not a network. Name the ONNX file"),
        (gzip.compress(b"network"), 2, "packed with gzip. Unpack it and name the ONNX file"),
        (b"PK\x03\x04" + bytes(80), 2, "a file of weights.*--checkpoint"),
    ],
    ids=["damaged", "text", "gzip", "weights"],
)
def test_a_file_that_is_not_onnx_is_named(content: bytes, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"net\.onnx.*{said}") as raised:
        external_files(tmp_path / "net.onnx")
    assert raised.value.exit_code == code


def test_constants_within_nodes_and_functions_count() -> None:
    def constant(name: str) -> TensorProto:
        return numpy_helper.from_array(np.zeros(1, np.float32), name)

    inner = helper.make_graph([helper.make_node("Constant", [], ["y"], value=constant("inner"))], "g", [], [])
    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]
    graph = helper.make_graph(nodes, "g", [], [], [constant("outer")])
    body = [helper.make_node("Constant", [], ["y"], value=constant("function"))]
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "f", [], ["y"], body, opset)
    model = helper.make_model(graph, functions=[function])
    assert {tensor.name for tensor in tensors(model)} >= {"outer", "inner", "function"}
