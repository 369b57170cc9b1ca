"""Each reader has every limit that its format can exceed; what exceeds one ends in a named error.

Limits of gigabytes are tried with files that only claim so much, others with a lower limit.
"""

import gzip
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from pipeline import json_text, pickle_steps
from pipeline.build.parts import RECORD, read_part
from pipeline.build.requested_unit import REQUESTS, read_request
from pipeline.bundle.contents import verify
from pipeline.cache.product import MANIFEST, Damaged, read_stored
from pipeline.config import BuildConfig, load_config
from pipeline.data import label_table
from pipeline.data.cifar import open_batches
from pipeline.data.classes import read_classes
from pipeline.data.open import open_dataset
from pipeline.data.picture_files import read_picture
from pipeline.difference.opened_side import opened_side
from pipeline.errors import PipelineError
from pipeline.known_devices import known_devices
from pipeline.matrix.matrix_config import load_matrix
from pipeline.models import keras
from pipeline.models.checkpoint import read_weights
from pipeline.models.class_list import classes_in_metadata
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from pipeline.models.keras import read_keras
from pipeline.models.weights import tensor_bounds
from pipeline.reading_limits import (
    LITERAL_CHARACTERS,
    NAMES_BYTES,
    REPORT_BYTES,
    SETTINGS_BYTES,
    TFLITE_BYTES,
    WEIGHTS_LIST_BYTES,
)
from pipeline.report import record
from pipeline.report.model.build_report import Report
from targets.errors import TargetError
from targets.reach.answer_limits import ANSWER_BYTES, ANSWER_VALUES
from targets.reach.answers import json_answer, sensible
from targets.runtime.bundle.keyring import KeyringError, parse
from targets.runtime.bundle.manifest import Manifest, ManifestError
from targets.runtime.bundle.signature import PublicKey, Signature, SignatureError
from targets.runtime.device_limits import ENGINE_TEXT_BYTES, KEY_BYTES, TEXT_BYTES
from targets.runtime.native_runner import FOOTER, read_engine
from targets.runtime.preprocess import ImageError, decode
from tests.attacks import growing
from tests.attacks.bundles import header
from tests.attacks.shared_tflite import shared
from tests.fuzz.readers import READERS, put
from tests.fuzz.sound_files import sound
from tests.targets.runtime import bomb_pictures as bombs

KINDS = ("bytes", "elements", "depth", "pixels")
"""What takes time beyond these has a test of processor time: test_growing_graphs.py, test_toml_file.py."""
NAMED = (
    PipelineError,
    TargetError,
    ImageError,
    Damaged,
    ManifestError,
    SignatureError,
    KeyringError,
    ValueError,
)
"""ValueError is an engine's: its callers name it."""
Case = Callable[[Path, pytest.MonkeyPatch], object]
"""Makes what is beyond a limit, and reads it."""
DEEP = "[" * 100_000


def long(path: Path, size: int) -> Path:
    """A file of so many bytes that takes no space."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def fewer_values(read: Callable[[Path], object], name: str, text: str) -> Case:
    def case(folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.setattr(json_text.check_values, "__defaults__", (100, json_text.MARKS))
        monkeypatch.setattr(json_text.bounded_json, "__defaults__", (100, None))
        monkeypatch.setattr(record, "REPORT_VALUES", 100)
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return read(put(text.encode(), path))

    return case


def text(read: Callable[[Path], object], name: str, content: bytes | str) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return read(put(content if isinstance(content, bytes) else content.encode(), path))

    return case


def sized(read: Callable[[Path], object], name: str, size: int) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        return read(long(path, size))

    return case


def settings(path: Path) -> object:
    return load_config(BuildConfig, path, {})


def network(path: Path) -> object:
    return adopt(described(path, Description(size=(32, 32), channels=1, fit="pad")), True, lambda _: None)


def evaluated(path: Path) -> object:
    return open_dataset(path.parent).split("evaluation")


def cifar(path: Path) -> object:
    return open_batches(path.parent)


def answer(path: Path) -> object:
    with sensible("board", "it"):
        return json_answer(path.read_text())


def compared(path: Path) -> object:
    with opened_side(path) as side:
        return side


def signature(path: Path) -> object:
    return Signature.parse(path.read_bytes())


def lowered(module: object, name: str, value: int, case: Case) -> Case:
    """The case with a lower limit, where a file beyond the usual one would be large."""

    def with_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> object:
        monkeypatch.setattr(module, name, value)
        return case(folder, monkeypatch)

    return with_limit


def sound_one(reader: str, read: Callable[[Path], object], name: str) -> Case:
    """A file that is read, for a limit that is lowered."""
    return lambda folder, _: read(put(sound(reader, folder), folder / name))


def packed(write: Callable[[zipfile.ZipFile], None], read: Callable[[Path], object], name: str) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            write(archive)
        (folder / "classes.txt").write_text("a\nb\n")
        return read(folder / name)

    return case


def zeros(member: str, size: int, before: bytes = b"") -> Callable[[zipfile.ZipFile], None]:
    def write(archive: zipfile.ZipFile) -> None:
        with archive.open(member, "w", force_zip64=True) as file:
            file.write(before)
            for _ in range(size >> 20):
                file.write(bytes(1 << 20))

    return write


def npy(count: int) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "|u1", "fortran_order": False, "shape": (count,)})
    return written.getvalue()


def tar(*entries: bytes) -> bytes:
    return gzip.compress(b"".join(entries) + bytes(1024))


def safetensors(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def onnx_file(model: Callable[[], object]) -> Case:
    return lambda folder, _: network(put(model().SerializeToString(), folder / "net.onnx"))  # type: ignore[attr-defined]


def functions_in_functions(count: int) -> object:
    return growing.network(
        growing.node("g0", ["r"], ["q"], domain="f"), functions=growing.doubling_functions(count)
    )


def engine_with(text: bytes) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        raw = bytearray(sound("engine", folder))
        footer = len(raw) - FOOTER.size
        numbers = list(FOOTER.unpack(raw[footer:]))
        numbers[7], numbers[8] = footer, len(text)
        return read_engine(put(bytes(raw[:footer]) + text + FOOTER.pack(*numbers), folder / "x.engine"))

    return case


def idx_gz(folder: Path, _: pytest.MonkeyPatch) -> object:
    head = struct.pack(">BBBBIII", 0, 0, 8, 3, 1 << 18, 32, 32)
    put(gzip.compress(head + bytes(1 << 20)), folder / "t10k-images-idx3-ubyte.gz")
    put(struct.pack(">BBBBI", 0, 0, 8, 1, 2) + b"\0\1", folder / "t10k-labels-idx1-ubyte")
    return evaluated(folder / "x")


BY_BYTES = "its bytes bound them"
NO_NEST = "nothing in it is inside something"
NO_PICTURE = "it has no pictures"


def json_limits(read: Callable[[Path], object], name: str, most: int) -> dict[str, Case | str]:
    return {
        "bytes": sized(read, name, most + 1),
        "elements": fewer_values(read, name, json.dumps([{}] * 100)),
        "depth": text(read, name, DEEP),
        "pixels": NO_PICTURE,
    }


LIMITS: Mapping[str, Mapping[str, Case | str]] = {
    "bundle": {
        "bytes": text(verify, "x.edgec", tar(header("m-t/engine", 2 << 30))),
        "elements": text(verify, "x.edgec", tar(*(header(f"m-t/{n}", 0) for n in range(1001)))),
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "packed bundle": {
        "bytes": text(verify, "x.edgec", tar(header("m-t/engine", 512 << 20))),
        "elements": "as a bundle",
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "manifest": {
        "bytes": text(verify, "x.edgec", tar(header("m-t/manifest.json", TEXT_BYTES + 1))),
        "elements": BY_BYTES,
        "depth": lambda _, __: Manifest.parse(DEEP),
        "pixels": NO_PICTURE,
    },
    "keys": {
        "bytes": sized(PublicKey.read, "x.pub", KEY_BYTES + 1),
        "elements": text(
            signature,
            "x",
            json.dumps(
                {**json.loads(Signature(bytes(32), bytes(64)).to_json())}
                | {"also": [{"key": f"{n:064x}", "signature": "00" * 64} for n in range(1, 20)]}
            ),
        ),
        "depth": text(parse, "keys.json", DEEP[:60_000]),
        "pixels": NO_PICTURE,
    },
    "settings": {
        "bytes": sized(settings, "x.toml", SETTINGS_BYTES + 1),
        "elements": BY_BYTES,
        "depth": text(settings, "x.toml", ".".join("a" * 33) + "=1"),
        "pixels": NO_PICTURE,
    },
    "matrix": {
        "bytes": sized(lambda path: load_matrix(path, None), "matrix.toml", SETTINGS_BYTES + 1),
        "elements": BY_BYTES,
        "depth": text(lambda path: load_matrix(path, None), "matrix.toml", f"models={DEEP}"),
        "pixels": NO_PICTURE,
    },
    "devices": {
        "bytes": sized(known_devices, "devices.toml", SETTINGS_BYTES + 1),
        "elements": BY_BYTES,
        "depth": text(known_devices, "devices.toml", f"pi={DEEP}"),
        "pixels": NO_PICTURE,
    },
    "engine": {
        "bytes": engine_with(b"{" + b" " * ENGINE_TEXT_BYTES + b"}"),
        "elements": BY_BYTES,
        "depth": engine_with(DEEP.encode()),
        "pixels": NO_PICTURE,
    },
    "network": {
        "bytes": sized(network, "net.onnx", (8 << 30) + 1),
        "elements": onnx_file(lambda: growing.network(*growing.range_to("huge"))),
        "depth": onnx_file(lambda: functions_in_functions(40)),
        "pixels": lambda folder, _: adopt(
            described(
                put(sound("network", folder), folder / "net.onnx"),
                Description(size=(1 << 13, 1 << 13), channels=1, fit="pad"),
            ),
            True,
            lambda _: None,
        ),
    },
    "weights": {
        "bytes": packed(zeros("x/data.pkl", 64 << 20), read_weights, "x.pt"),
        "elements": lowered(pickle_steps, "PICKLE_STEPS", 5, sound_one("weights", read_weights, "x.pt")),
        "depth": "its unpickler does not call itself",
        "pixels": NO_PICTURE,
    },
    "torch before zip": {
        "bytes": lowered(
            tensor_bounds, "WEIGHTS_TIMES", 0, sound_one("torch before zip", read_weights, "x.pt")
        ),
        "elements": lowered(
            pickle_steps, "PICKLE_STEPS", 40, sound_one("torch before zip", read_weights, "x.pt")
        ),
        "depth": "its unpickler does not call itself",
        "pixels": NO_PICTURE,
    },
    "tar of torch": {
        "bytes": "twenty names of it are read",
        "elements": "twenty names of it are read",
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "keras": {
        "bytes": packed(zeros("model.weights.h5", 64 << 20), read_keras, "x.keras"),
        "elements": lowered(keras, "KERAS_VALUES", 100, sound_one("keras", read_keras, "x.h5")),
        "depth": lowered(keras, "KERAS_GROUPS", 1, sound_one("keras", read_keras, "x.h5")),
        "pixels": NO_PICTURE,
    },
    "safetensors": {
        "bytes": text(read_weights, "x.safetensors", safetensors(b"{}", WEIGHTS_LIST_BYTES + 1)),
        "elements": fewer_values(
            read_weights, "x.safetensors", safetensors(json.dumps({"a": [0] * 100}).encode()).decode()
        ),
        "depth": text(read_weights, "x.safetensors", safetensors(b'{"a":' + DEEP.encode())),
        "pixels": NO_PICTURE,
    },
    "labels": {
        "bytes": sized(evaluated, "labels.csv", (64 << 20) + 1),
        "elements": lowered(label_table, "LABELS_ROWS", 1, sound_one("labels", evaluated, "labels.csv")),
        "depth": NO_NEST,
        "pixels": "its pictures are read like others",
    },
    "picture": {
        "bytes": lambda folder, _: read_picture(long(folder / "x.png", (64 << 20) + 1), 3),
        "elements": lambda _, __: decode(bombs.progressive_jpeg(101), 3),
        "depth": NO_NEST,
        "pixels": lambda _, __: decode(bombs.png(8192, 6145), 3),
    },
    "recorded logits": {
        "bytes": lambda folder, _: compared(put(npy(1 << 40), folder / "x.npy")),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "tflite": {
        "bytes": sized(compared, "x.tflite", TFLITE_BYTES + 1),
        "elements": lambda folder, _: compared(put(shared(tensors=5000, name=1000), folder / "x.tflite")),
        "depth": "each level is read by a loop of its own",
        "pixels": lambda folder, _: compared(put(shared(side=8192), folder / "x.tflite")),
    },
    "packed images": {
        "bytes": packed(zeros("data.npy", 128 << 20, npy(128 << 20)), evaluated, "test_jpeg.npz"),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": "its pictures are read like others",
    },
    "idx": {
        "bytes": "it is as long as it says, and mapped into memory",
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": BY_BYTES,
    },
    "gzipped idx": {"bytes": idx_gz, "elements": BY_BYTES, "depth": NO_NEST, "pixels": BY_BYTES},
    "batch of CIFAR-10": {
        "bytes": sized(cifar, "batches.meta", (64 << 20) + 1),
        "elements": lowered(
            pickle_steps, "PICKLE_STEPS", 5, sound_one("batch of CIFAR-10", cifar, "batches.meta")
        ),
        "depth": "its unpickler does not call itself",
        "pixels": "each has 32 x 32",
    },
    "part": json_limits(lambda path: read_part(path.parent), RECORD, REPORT_BYTES),
    "report": json_limits(Report.load, "report.json", REPORT_BYTES),
    "stored entry": json_limits(
        lambda path: read_stored("answer", path.parent), f"{'0' * 32}/{MANIFEST}", NAMES_BYTES
    ),
    "unit": {
        **json_limits(
            lambda path: read_request(path.parent.parent, "0a"), f"{REQUESTS}/0a.json", SETTINGS_BYTES
        ),
        "elements": BY_BYTES,
    },
    "tuned": {
        "bytes": "it is this user's",
        "elements": "it is this user's",
        "depth": "it is this user's",
        "pixels": NO_PICTURE,
    },
    "board": {
        "bytes": sized(answer, "board.json", ANSWER_BYTES + 1),
        "elements": text(answer, "board.json", f"[{'[],' * (ANSWER_VALUES // 2)}[]]"),
        "depth": text(answer, "board.json", DEEP),
        "pixels": NO_PICTURE,
    },
    "times": {
        "bytes": "as other answers of a board",
        "elements": "as other answers of a board",
        "depth": "as other answers of a board",
        "pixels": NO_PICTURE,
    },
    "class names": {
        "bytes": sized(lambda path: read_classes(path.parent), "classes.txt", NAMES_BYTES + 1),
        "elements": BY_BYTES,
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "classes in a network": {
        "bytes": lambda _, __: classes_in_metadata({"names": "a" * (LITERAL_CHARACTERS + 1)}),
        "elements": NO_NEST,
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
}
SAYS = {
    "bytes": r"bytes|characters|longer|GiB|damaged",
    "elements": r"values|rows|steps|numbers|scans|signatures|file 1001",
    "depth": r"recursion|parts|nodes|groups|JSON|damaged",
    "pixels": r"pixels|8192 x 6145",
}
"""What the message names."""
CASES = {
    f"{reader}, {kind}": case
    for reader, limits in LIMITS.items()
    for kind, case in limits.items()
    if not isinstance(case, str)
}


def test_each_reader_has_each_limit_or_a_reason() -> None:
    assert READERS.keys() <= LIMITS.keys()
    assert {reader for reader, limits in LIMITS.items() if tuple(limits) != KINDS} == set()


@pytest.mark.parametrize("name", CASES)
def test_what_exceeds_it_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NAMED) as refused:
        CASES[name](tmp_path, monkeypatch)
    assert re.search(SAYS[name.rpartition(", ")[2]], str(refused.value)), str(refused.value)
