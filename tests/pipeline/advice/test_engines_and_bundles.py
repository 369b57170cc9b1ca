"""What messages about engines, bundles and devices advise: another graph, another file, another target."""

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys, make_statement
from pipeline.packages.kinds import check_kinds
from targets.base import require_engine
from targets.errors import ConnectionCut, DeviceError, TargetError
from targets.reach.finished import Finished
from targets.reach.transfer import BLOCK, fetch, send
from targets.registry import find_target
from targets.runtime.bundle.archive import opened as opened_archive
from targets.runtime.bundle.keyring import Keyring
from targets.runtime.bundle.manifest import NAME
from targets.runtime.bundle.rekey import accept
from targets.runtime.bundle.signature import PublicKey, SignatureError
from targets.runtime.cpu import why_not
from targets.runtime.preprocess import Preprocessing
from targets.runtime.sustained.choice_file import CHOICE
from targets.runtime.tensorrt.engine import EngineChoice, EngineProblem
from targets.tvm import cpu_target
from targets.tvm.bounded_read import read_model
from targets.tvm.importer import import_graph
from targets.tvm.isa import ISAS
from targets.tvm.tuning import database
from targets.tvm.tuning.database import add, load
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.pipeline.advice.followed import check_advice
from tests.targets.tvm.qdq_model import QdqModel

Body = Callable[[QdqModel, str], str]


def compiled(body: Body, path: Path) -> None:
    """Bring a small network with `body` in the middle into the integer form."""
    m = QdqModel(16, 16, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 8, 3)), 0.5, 0)
    x = m.quantized(m.node("GlobalAveragePool", body(m, x)), 0.3, 0)
    import_graph(m.save(m.gemm(m.node("Flatten", x), 10, 16), path))


def resized_channels(m: QdqModel, x: str) -> str:
    scales = m.constant(np.array([1, 2, 1, 1], np.float32))
    return m.quantized(m.node("Resize", x, "", scales, mode="nearest"), 0.5, 0)


def doubled_channels(m: QdqModel, x: str) -> str:
    return m.quantized(m.node("Concat", x, x, axis=1), 0.5, 0)


POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "count_include_pad": 1, "ceil_mode": 1}


def padded_pool(m: QdqModel, x: str) -> str:
    return m.quantized(m.node("AveragePool", doubled_channels(m, x), pads=[1, 1, 1, 1], **POOL), 0.5, 0)


def pool_behind_a_pad(m: QdqModel, x: str) -> str:
    edges = m.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    wider = m.quantized(m.node("Pad", doubled_channels(m, x), edges), 0.5, 0)
    return m.quantized(m.node("AveragePool", wider, **{**POOL, "count_include_pad": 0}), 0.5, 0)


GRAPHS: dict[str, tuple[Body, Body]] = {
    "Repeat channels by Concat instead": (resized_channels, doubled_channels),
    "ceil_mode together with count_include_pad is not compiled. Put a Pad in front": (
        padded_pool,
        pool_behind_a_pad,
    ),
}


@pytest.mark.parametrize("words", GRAPHS)
def test_another_operator_helps(words: str, tmp_path: Path) -> None:
    before, after = GRAPHS[words]
    bodies = [before]
    attempt = partial(lambda path: compiled(bodies[-1], path), tmp_path / "model.onnx")
    check_advice(words, attempt, lambda: bodies.append(after), TargetError)


def test_a_model_in_one_file_helps(tmp_path: Path) -> None:
    m = QdqModel(8, 8, 3)
    path = m.save(m.conv(m.image(), 4, 3), tmp_path / "model.onnx")
    whole = path.read_bytes()
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    words = "is in another file. Save the model as one file"
    check_advice(words, lambda: read_model(path), lambda: path.write_bytes(whole), TargetError)


def test_an_engine_that_is_built_first_helps(tmp_path: Path) -> None:
    engine = tmp_path / "model.engine"
    words = "Build it first: edgec build --target host"
    check_advice(words, lambda: require_engine(engine, "host"), engine.touch, TargetError)
    assert find_target("host").name == "host"


def test_an_instruction_set_that_is_named_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEC_ISA", "avx3")
    if all(why_not(name) for name in ISAS):
        pytest.skip("Engines have no instruction set for this machine.")
    words = "Name one of these, or unset it"
    check_advice(words, cpu_target.host_isa, lambda: monkeypatch.delenv("EDGEC_ISA"), TargetError)


def test_the_reference_helps_on_a_machine_without_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEC_ISA", raising=False)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    targets = ["host"]
    check_advice(
        "Use --target reference",
        lambda: find_target(targets[-1]).check(),
        lambda: targets.append("reference"),
        TargetError,
    )


def test_tuning_again_makes_a_damaged_file_anew(tmp_path: Path) -> None:
    isa = next(iter(ISAS.values()))
    file = tmp_path / f"{isa.name}-{database.ANY}.json"
    file.write_text("[")
    words = "Delete it; `edgec tune` makes it anew"
    check_advice(words, lambda: add([], isa, database.ANY, tmp_path), file.unlink, TargetError)
    assert load(file) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no engine yet: run ./build_on_device.py on this device"),
        ("{", "is damaged: run ./build_on_device.py again"),
    ],
)
def test_building_on_the_device_helps(text: str | None, words: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / CHOICE).write_text(text)
    built = EngineChoice("int8", False, "the only one")
    check_advice(words, lambda: EngineChoice.read(tmp_path), lambda: built.write(tmp_path), EngineProblem)


def test_no_border_helps_where_nothing_is_added() -> None:
    borders = [(114,), (0,)]
    words = "adds none; leave it out"
    check_advice(
        words,
        lambda: Preprocessing(8, 8, 3, fit="crop", border=borders[0]),
        lambda: borders.pop(0),
        ValueError,
    )


class TestBundles:
    """Bundles and keys."""

    @pytest.fixture
    def sound(self, tmp_path: Path) -> Callable[[], object]:
        files = {"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}
        return lambda: pack(files, tmp_path / "model.edgec", top="m-t")

    def read(self, path: Path) -> None:
        with opened_archive(path) as held:
            held.read("engine")

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({"engine": ENGINE}, "Build it again with `edgec build`"),
            ({NAME: manifest(engine=digest(ENGINE))}, "is missing. Get it again"),
        ],
    )
    def test_a_bundle_that_is_built_or_copied_again_helps(
        self, files: dict[str, bytes], words: str, sound: Callable[[], object], tmp_path: Path
    ) -> None:
        path = tmp_path / "model.edgec"
        pack(files, path, top="m-t")
        check_advice(words, lambda: self.read(path), sound, ValueError)

    def test_a_key_of_edgec_helps(self, tmp_path: Path) -> None:
        files = [tmp_path / "other.pub", tmp_path / "release.pub"]
        other = generate_private_key(SECP256R1()).public_key()
        body = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        files[0].write_bytes(body)
        check_advice(
            "but not an Ed25519 key. Make one with `edgec keygen`",
            lambda: PublicKey.read(files[0]),
            lambda: (make_keys(tmp_path / "release.key"), files.pop(0)),
            SignatureError,
        )

    def test_a_trusted_key_helps(self, tmp_path: Path) -> None:
        public = make_keys(tmp_path / "release.key")
        key = PublicKey.read(public)
        statement = make_statement(Keyring(1, (key.key,), (), 1, "here"), [tmp_path / "release.key"])
        (tmp_path / "statement.json").write_text(statement.to_json())
        trusted: list[PublicKey] = []
        check_advice(
            "Install a public key first",
            lambda: accept(tmp_path / "statement.json", tmp_path, trusted),
            lambda: trusted.append(key),
            SignatureError,
        )


def test_each_kind_of_package_once_helps() -> None:
    kinds = ["triton", "triton"]
    check_advice("give each kind once", lambda: check_kinds(tuple(kinds)), kinds.pop)


class Fallible:
    """A device whose commands this machine runs; it has a fault while `faulty`."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.faulty = True

    def run(self, argv: Sequence[str], *, stdin: Any = None) -> Finished:  # noqa: ANN401 -- a file or bytes
        if self.faulty and self.fault == "full" and stdin is not None:
            return Finished(1, "", "dd: No space left on device")
        given = stdin and b"".join(iter(lambda: stdin.read(BLOCK), b""))
        done = subprocess.run(argv, input=given, check=False, **KEPT)
        return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())

    def read(self, argv: Sequence[str]) -> bytes:
        content: bytes = subprocess.run(argv, check=True, **KEPT).stdout
        return content[:-1] if self.faulty else content

    def mend(self) -> None:
        self.faulty = False


KEPT: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def test_trying_again_helps_after_a_cut_connection(tmp_path: Path) -> None:
    (tmp_path / "far").write_bytes(b"engine")
    device = Fallible("cut")
    attempt = partial(fetch, device, str(tmp_path / "far"), tmp_path / "near")
    check_advice("than it has on the device. Try again", attempt, device.mend, ConnectionCut)
    assert (tmp_path / "near").read_bytes() == b"engine"


def test_freeing_room_on_the_device_helps(tmp_path: Path) -> None:
    (tmp_path / "near").write_bytes(b"engine")
    device = Fallible("full")
    attempt = partial(send, device, tmp_path / "near", str(tmp_path / "far"))
    check_advice("Free some, and try again", attempt, device.mend, DeviceError)
    assert (tmp_path / "far").read_bytes() == b"engine"
