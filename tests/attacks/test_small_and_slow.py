"""Files of kilobytes that would take hours or gigabytes: they are refused, or read as fast as others."""

import json
import signal
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipeline.build.parts import RECORD, read_part
from pipeline.data.cifar import open_batches
from pipeline.data.label_columns import find_columns
from pipeline.data.open import open_dataset
from pipeline.data.tree import ZipTree
from pipeline.errors import CheckpointError, DataError, UsageError
from pipeline.matrix.matrix_config import load_matrix
from pipeline.matrix.planned_rows import planned_rows
from pipeline.models.checkpoint import load_model, read_weights
from pipeline.models.foreign.normal_form.conventions import write_constants_as_weights
from pipeline.models.foreign.normal_form.merged_padding import merge_padding, write_averages_over_padding
from pipeline.models.foreign.normal_form.one_dimension import write_in_two_dimensions
from pipeline.models.foreign.normal_form.powers import write_powers_as_products
from pipeline.models.foreign.normal_form.sums_of_neighbours import write_local_response
from pipeline.models.weights.state_dicts import without_prefix
from pipeline.models.zoo import find_model
from tests.fuzz.readers import put
from tests.fuzz.sound_files import sound
from tests.pipeline.data.pictures import class_folders, write_shards

LONGEST = 20.0
"""Seconds of processor time; without its mend each of these takes longer, most of them for hours."""


@pytest.fixture(autouse=True)
def _not_endless() -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise TimeoutError(f"it took {LONGEST} s of processor time")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


TUPLE, STOP = b"\x86", b"."
"""Steps of a pickle: a pair of the last two values, and its end."""


def nested_key(pairs: int = 60) -> bytes:
    """A dictionary with a key of pairs in pairs: of each but the innermost there is one object."""
    keep = b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + TUPLE for n in range(pairs))
    return b"\x80\x02}K\x01" + keep + b"K\x01s" + STOP


def torch_zip(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickled)
        archive.writestr("x/version", b"3\n")
    return path


def test_a_key_of_pairs_in_pairs_is_refused_before_its_hash_is_computed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="hold each other so often"):
        read_weights(torch_zip(tmp_path / "x.pt", nested_key()))
    for name in ("batches.meta", "test_batch"):
        put(nested_key(), tmp_path / name)
    with pytest.raises(DataError, match="hold each other so often"):
        open_batches(tmp_path)


def test_a_value_kept_under_a_huge_number_is_refused(tmp_path: Path) -> None:
    kept = b"\x80\x02}r" + struct.pack("<I", 1 << 31) + STOP
    with pytest.raises(CheckpointError, match="numbers a value 2,147,483,648"):
        read_weights(torch_zip(tmp_path / "x.pt", kept))


def test_what_is_shared_as_torch_shares_it_is_read(tmp_path: Path) -> None:
    shared = {f"layer.{n}": torch.ones(2, 2) for n in range(50)}
    long = {"of": [(n, (n, n)) for n in range(50)], "losses": [0.1 * n for n in range(200_000)]}
    torch.save({"model": shared, "ema": shared, **long}, tmp_path / "x.pt")
    assert read_weights(tmp_path / "x.pt", lambda shapes: len(shapes) == 50, "model").keys() == shared.keys()


def test_dictionaries_that_hold_each_other_are_refused(tmp_path: Path) -> None:
    inner: dict[str, object] = {}
    for _ in range(4):
        inner = {f"k{n}": inner for n in range(32)}
    torch.save(inner, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="has dictionaries that hold each other so often"):
        read_weights(tmp_path / "x.pt")


def test_a_checkpoint_has_so_many_sets_of_weights(tmp_path: Path) -> None:
    torch.save({f"k{n}": {"weight": torch.ones(1)} for n in range(1001)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="more than 1,000 sets of weights"):
        read_weights(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "names",
    [["a." * 100_000 + "weight"], [f"{n}.weight" for n in range(20_000)]],
    ids=["a name of many parts", "many prefixes"],
)
def test_prefixes_of_names_are_found_in_proportion_to_the_file(names: list[str]) -> None:
    found = list(without_prefix({name: torch.ones(1) for name in names}))
    assert [prefix for prefix, _ in found[:2]] == ["", "a."][: len(found)]


def test_a_layer_whose_number_has_thousands_of_digits_is_a_name_like_others(tmp_path: Path) -> None:
    weights = OrderedDict()
    weights["resnet.embedder.embedder.convolution.weight"] = torch.ones(1)
    weights[f"resnet.layer.{'1' * 5000}.normalization.weight"] = torch.ones(1)
    torch.save(weights, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(find_model("resnet20-fashion"), tmp_path / "x.pt", 10)


@pytest.mark.parametrize(
    "arrays",
    [
        {"conv1_conv/kernel": np.ones((7, 7, 3), np.float32)},
        {"conv1_conv/kernel": np.ones((7, 7, 3, 64), np.float32)},
        {
            "conv1_conv/kernel": np.ones((7, 7, 3, 4), np.float32),
            "conv1_conv/bias": np.ones(3, np.float32),
            "conv1_bn/moving_mean": np.ones(4, np.float32),
        },
        {f"conv{'2'}_block{'1' * 5000}_1_conv/kernel": np.ones((1, 1, 3, 4), np.float32)},
    ],
    ids=["of three dimensions", "alone", "a bias of another length", "a long number"],
)
def test_arrays_of_keras_that_do_not_belong_together(
    tmp_path: Path, arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, value in {"conv1_conv/kernel": np.ones((7, 7, 3, 4), np.float32), **arrays}.items():
            file[name] = value
    with pytest.raises(CheckpointError, match=r"x\.h5 has arrays that are not those of Keras"):
        load_model(find_model("resnet50"), tmp_path / "x.h5", 1000)


def test_columns_that_the_rows_do_not_fill(tmp_path: Path) -> None:
    wide = "path,label," + ",".join(f"c{n}" for n in range(20_000))
    put((wide + "\n" + "a.png,b\n" * 20_000).encode(), tmp_path / "labels.csv")
    with pytest.raises(DataError, match="rows lack most values of the 20,002 columns"):
        open_dataset(tmp_path)


def test_columns_of_boxes_without_end() -> None:
    spelled = [
        "".join(f"{mark}{letter}" for mark, letter in zip(marks, "bboxxmin", strict=True))
        for marks in product(" _-.!", repeat=8)
    ][: 2 * 4**8]
    assert len(find_columns(["path", "label", *spelled], None, "labels.csv").boxes) == 2 * 4**8


def many_folders(path: Path, table: str = "") -> Path:
    """A zip of 20,000 folders with a picture in each."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"d{number}/a.png", b"")
        if table:
            archive.writestr("labels.csv", table)
    return path


@pytest.mark.slow
def test_a_zip_of_many_folders_is_listed_in_proportion_to_it(tmp_path: Path) -> None:
    tree = ZipTree(many_folders(tmp_path / "x.zip"))
    assert [tree.below(folder) for folder in tree.folders()] == [
        [f"{folder}/a.png"] for folder in tree.folders()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("written", ["d{n}/a.png", "d{n}/a", "top/d{n}/a.png"])
def test_a_table_of_many_folders(tmp_path: Path, written: str) -> None:
    lines = "".join(f"{written.format(n=n)},val,{n % 2}\n" for n in range(20_000))
    path = many_folders(tmp_path / "x.zip", "path,split,label\n" + lines)
    if written.startswith("top"):
        with pytest.raises(DataError, match="names files that do not exist"):
            open_dataset(path)
    else:
        assert len(open_dataset(path).split("evaluation").labels) == 20_000


def test_a_table_of_folders_in_folders_in_folders(tmp_path: Path) -> None:
    """The folders around a folder are not gone through one by one: there may be thousands around each."""
    names = [f"{n}/{'a/' * 3000}x.png" for n in range(300)]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"")
        archive.writestr("labels.csv", "path,split,label\n" + "".join(f"{name},val,a\n" for name in names))
    assert len(open_dataset(tmp_path / "x.zip").split("evaluation").labels) == 300


def pax(records: bytes) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, len(records)
    return member.tobuf(tarfile.USTAR_FORMAT) + records.ljust(-(-len(records) // 512) * 512, b"\0")


def test_a_pax_header_of_thousands_of_records(tmp_path: Path) -> None:
    put(pax(b"4 =\n" * 16_384) + bytes(1024), tmp_path / "val.tar")
    with pytest.raises(DataError, match="a pax header of more than 64 records"):
        open_dataset(tmp_path)


def test_a_pax_header_as_programs_write_it(tmp_path: Path) -> None:
    pictures = list(class_folders(val=2).values())
    files = {"a.png": pictures[0], "a.cls": b"0", "b.png": pictures[1], "b.cls": b"1"}
    path = write_shards(tmp_path, {"val.tar": files}) / "val.tar"
    put(pax(b"".join(b"%d %s=1\n" % (len(key) + 6, key) for key in many_keys())) + path.read_bytes(), path)
    assert open_dataset(tmp_path).split("evaluation").labels.tolist() == [0, 1]


def many_keys() -> Iterator[bytes]:
    return (b"SCHILY.xattr.%02d" % n for n in range(30))


MATRIX = 'models = ["resnet20-fashion"]\ntargets = ["host"]\n'


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (f'[[include]]\nmodel = "{"[" * 100_000}"', "has 100,000 characters; up to 256"),
        ("[build]\npackage = [" + '"deb",' * 65 + "]", "at most 64 items"),
        (f"[build.export]\nmean = [{'0.5,' * 65}]", "at most 64 items"),
    ],
    ids=["a pattern of brackets", "packages", "means"],
)
def test_a_matrix_whose_rows_each_take_long(tmp_path: Path, added: str, said: str) -> None:
    file = tmp_path / "matrix.toml"
    file.write_text(MATRIX + added)
    with pytest.raises(UsageError, match=said):
        planned_rows(load_matrix(file, None), file)


def test_a_part_that_lists_one_product_many_times(tmp_path: Path) -> None:
    record = {**json.loads(sound("part", tmp_path)), "products": ["answer/0a", "answer/0a"]}
    put(json.dumps(record).encode(), tmp_path / RECORD)
    with pytest.raises(UsageError, match="lists 'answer/0a' twice"):
        read_part(tmp_path)


def pow_(x: str, y: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Pow", [x, "two"], [y])]


def average(x: str, y: str) -> list[onnx.NodeProto]:
    pool = helper.make_node("AveragePool", [x], [y], kernel_shape=[3, 3], pads=[1] * 4)
    pool.attribute.extend(helper.make_attribute(name, 1) for name in ("ceil_mode", "count_include_pad"))
    return [pool]


def padded(x: str, y: str) -> list[onnx.NodeProto]:
    pad = helper.make_node("Pad", [x, "border"], [f"{y}/padded"])
    return [pad, helper.make_node("MaxPool", [f"{y}/padded"], [y], kernel_shape=[3, 3])]


def line(x: str, y: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Conv", [x, "taps"], [y], pads=[1, 1])]


def norm(x: str, y: str) -> list[onnx.NodeProto]:
    return [helper.make_node("LRN", [x], [y], size=3)]


def constant(x: str, y: str) -> list[onnx.NodeProto]:
    value = numpy_helper.from_array(np.ones(1, np.float32))
    one = helper.make_node("Constant", [], [f"{y}/one"], value=value)
    return [one, helper.make_node("Add", [x, f"{y}/one"], [y])]


def long_network(part: Callable[[str, str], list[onnx.NodeProto]], sides: int, parts: int) -> onnx.ModelProto:
    """Chain so many parts of one kind behind an image with so many sides."""
    names = ["x", *(f"t{n}" for n in range(1, parts)), "y"]
    nodes = [node for x, y in pairwise(names) for node in part(x, y)]
    stored: dict[str, NDArray[np.generic]] = {
        "two": np.array(2, np.float32),
        "border": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "taps": np.ones((3, 3, 3), np.float32),
    }
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, *[8] * sides])
    answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (sides + 2))
    weights = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "long", [image], [answer], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("part", "write", "sides", "parts"),
    [
        (pow_, write_powers_as_products, 2, 10_000),
        (average, write_averages_over_padding, 2, 5_000),
        (padded, merge_padding, 2, 2_500),
        (line, write_in_two_dimensions, 1, 3_000),
        (norm, write_local_response, 2, 1_000),
        (constant, write_constants_as_weights, 2, 5_000),
    ],
    ids=["powers", "averages", "padding", "lines", "norms", "constants"],
)
def test_a_long_network_is_rewritten_in_proportion_to_its_length(
    part: Callable[[str, str], list[onnx.NodeProto]],
    write: Callable[[onnx.ModelProto], None],
    sides: int,
    parts: int,
) -> None:
    model = long_network(part, sides, parts)
    write(model)
    onnx.checker.check_model(model)
    assert len(model.graph.node) >= parts
