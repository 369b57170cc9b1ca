"""Changed bundles, manifests, settings and networks end in a named error or are read: nothing else.

The same few examples in every run; `make fuzz SECONDS=` looks for others.
"""

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.bundle.pack import pack
from pipeline.config import BuildConfig, load_config
from pipeline.errors import PipelineError
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from targets.runtime.bundle.archive import ArchiveError, verify
from targets.runtime.bundle.manifest import NAME, Manifest, ManifestError
from targets.runtime.native_runner import read_engine
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.attacks.growing import network, node

CORPUS = Path(__file__).parent / "corpus"
TOML = b'model = "resnet20-fashion"\n[calibration]\nimages = 7\n[validation]\nimages = 1_000\n'
WAYS = ["set", "insert", "cut", "repeat"]
CHANGES = st.lists(
    st.tuples(st.sampled_from(WAYS), st.integers(0, 1 << 16), st.binary(max_size=9)),
    min_size=1,
    max_size=5,
)


def changed(content: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for how, where, data in changes:
        at = where % (len(content) + 1)
        match how:
            case "set":
                content = content[:at] + data + content[at + len(data) :]
            case "insert":
                content = content[:at] + data + content[at:]
            case "cut":
                content = content[:at] + content[at + len(data) :]
            case _:
                content = content[:at] + content[max(0, at - 40) : at] * len(data) + content[at:]
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed")


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES, inside=st.booleans())
@example(changes=[("insert", 567, b"\xa0\xe0")], inside=False)  # damage that shows within a file
@example(changes=[("cut", 560, b"123456")], inside=False)
def test_a_changed_bundle_is_refused_or_is_what_its_manifest_says(
    folder: Path, changes: list[tuple[str, int, bytes]], inside: bool
) -> None:
    path = folder / "x.edgec"
    pack({"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}, path, top="m-t")
    whole = path.read_bytes()
    path.write_bytes(
        gzip.compress(changed(gzip.decompress(whole), changes)) if inside else changed(whole, changes)
    )
    with suppress(ArchiveError):
        assert verify(path).manifest.files["engine"]


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_a_changed_manifest_is_refused_or_read(changes: list[tuple[str, int, bytes]]) -> None:
    text = changed((CORPUS / "manifest" / "sound.json").read_bytes(), changes).decode(errors="replace")
    with suppress(ManifestError):
        assert Manifest.parse(text).engine


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_changed_settings_are_refused_or_read(folder: Path, changes: list[tuple[str, int, bytes]]) -> None:
    path = folder / "x.toml"
    path.write_bytes(changed(TOML, changes))
    with suppress(PipelineError):
        load_config(BuildConfig, path, {})


@settings(max_examples=40, deadline=None)
@given(changes=CHANGES)
def test_a_changed_engine_is_refused_or_read(folder: Path, changes: list[tuple[str, int, bytes]]) -> None:
    path = folder / "x.engine"
    path.write_bytes(changed((CORPUS / "footer" / "sound").read_bytes(), changes))
    with suppress(ValueError):
        read_engine(path)


@settings(max_examples=40, deadline=None)
@given(changes=CHANGES)
def test_a_changed_network_is_refused_or_read(folder: Path, changes: list[tuple[str, int, bytes]]) -> None:
    path = folder / "net.onnx"
    path.write_bytes(changed(network(node("Relu", ["r"], ["q"])).SerializeToString(), changes))
    with suppress(PipelineError):
        adopt(described(path, Description(size=(32, 32), channels=1, fit="pad")), True, lambda _: None)
