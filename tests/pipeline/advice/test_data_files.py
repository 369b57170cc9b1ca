"""What messages about the data files of an ONNX file advise."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from pipeline.models.foreign.description import read_foreign
from pipeline.models.foreign.rewrite import adopt
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.models.foreign.normal_form.graphs import floats, graph


def network() -> onnx.ModelProto:
    """A new one for each file: saving moves its weights out of it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["y"]),
    ]
    return graph(nodes, {"w": floats(4, 3, 3, 3)}, shape=("N", 3, 8, 8))


def test_a_data_file_that_was_left_behind_helps(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(network(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    data = (tmp_path / "net.data").read_bytes()
    (tmp_path / "net.data").unlink()
    check_advice(
        "Copy that file too",
        lambda: adopt(read_foreign(path), True, lambda _: None),
        lambda: (tmp_path / "net.data").write_bytes(data),
    )


def beside_elsewhere(path: Path) -> Callable[[], object]:
    data = path.with_name("net.data")
    kept = data.rename(path.parent.parent / "net.data")
    data.symlink_to(kept)

    def heed() -> None:
        data.unlink()
        kept.rename(data)

    return heed


def cut_off(path: Path) -> Callable[[], object]:
    data = path.with_name("net.data")
    whole = data.read_bytes()
    data.write_bytes(whole[:-4])
    return lambda: data.write_bytes(whole)


def before_its_begin(path: Path) -> Callable[[], object]:
    whole = path.read_bytes()
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = "-8" if entry.key == "offset" else entry.value
    path.write_bytes(model.SerializeToString())
    return lambda: path.write_bytes(whole)


DATA_FILES: dict[str, Callable[[Path], Callable[[], object]]] = {
    "Put the data file beside the model, and no link to it": beside_elsewhere,
    "of at least": cut_off,
    "Export the model again": before_its_begin,
}


@pytest.mark.parametrize("words", DATA_FILES)
def test_a_data_file_that_is_whole_helps(words: str, tmp_path: Path) -> None:
    path = tmp_path / "model" / "net.onnx"
    path.parent.mkdir()
    onnx.save(network(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    heed = DATA_FILES[words](path)
    check_advice(words, lambda: adopt(read_foreign(path), True, lambda _: None), heed)
