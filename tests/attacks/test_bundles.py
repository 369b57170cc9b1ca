"""Bundles that were changed, cut or made to harm are refused with the reason; nothing of them is written."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bundle.contents import opened, verify
from pipeline.bundle.pack import pack
from pipeline.errors import BundleError
from targets.runtime.bundle.manifest import NAME
from tests.attacks.bundles import ENGINE, digest, header, manifest


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    path = tmp_path / "sound.edgec"
    pack({"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}, path, top="m-t")
    return path


def test_a_sound_bundle_is_accepted(sound: Path) -> None:
    assert verify(sound).manifest.model == "m"
    with opened(sound) as held:
        assert held.read("engine") == ENGINE


def test_packing_twice_gives_the_same_bytes(sound: Path, tmp_path: Path) -> None:
    files = {NAME: manifest(engine=digest(ENGINE)), "engine": ENGINE}
    pack(files, tmp_path / "again.edgec", top="m-t")
    assert (tmp_path / "again.edgec").read_bytes() == sound.read_bytes()


@pytest.mark.parametrize("kept", [0, 1, 20, 100, -1, -9])
def test_a_cut_bundle_is_refused(sound: Path, kept: int) -> None:
    sound.write_bytes(sound.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"sound\.edgec"):
        verify(sound)


def test_any_changed_byte_of_the_contents_is_found(sound: Path) -> None:
    raw = bytearray(gzip.decompress(sound.read_bytes()))
    raw[raw.index(ENGINE)] ^= 1
    sound.write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(BundleError, match="engine was changed"):
        verify(sound)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"engine": ENGINE}, "holds no manifest"),
        ({NAME: manifest(engine=digest(ENGINE))}, "engine is missing"),
        ({NAME: manifest(), "engine": ENGINE}, "engine is not in the manifest"),
        ({NAME: b"{}", "engine": ENGINE}, "manifest cannot be used"),
        ({NAME: b"[" * 100_000}, "manifest cannot be used"),
        ({NAME: b"\xff"}, "decode"),
        ({NAME: json.dumps({"format": "edgec-bundle", "version": 99}).encode()}, "version 99"),
    ],
    ids=["no manifest", "no engine", "stowaway", "empty manifest", "deep manifest", "no text", "future"],
)
def test_contents_that_do_not_fit_are_refused(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    pack(files, tmp_path / "x.edgec", top="m-t")
    with pytest.raises(BundleError, match=reason):
        verify(tmp_path / "x.edgec")


def link(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    return entry


def named(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


@pytest.mark.parametrize(
    "make",
    [
        lambda: named("/etc/passwd"),
        lambda: named("m-t/../../escaped"),
        lambda: named("alone"),
        lambda: link("m-t/link", tarfile.SYMTYPE),
        lambda: link("m-t/hard", tarfile.LNKTYPE),
        lambda: link("m-t/device", tarfile.CHRTYPE),
        lambda: link("m-t/pipe", tarfile.FIFOTYPE),
        lambda: link("m-t/folder", tarfile.DIRTYPE),
    ],
    ids=["absolute", "escape", "no folder", "symlink", "hard link", "device", "pipe", "folder"],
)
def test_entries_that_edgec_never_writes_are_refused(
    tmp_path: Path, make: Callable[[], tarfile.TarInfo]
) -> None:
    path = tmp_path / "x.edgec"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(make())
    with pytest.raises(BundleError, match="refused"):
        verify(path)


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.edgec"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (
            (NAME, manifest(engine=digest(ENGINE))),
            ("engine", ENGINE),
            ("engine", ENGINE),
        ):
            entry = tarfile.TarInfo(f"m-t/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with pytest.raises(BundleError, match="engine twice"):
        verify(path)


def test_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.edgec"
    entry = tarfile.TarInfo("m-t/huge")
    entry.size = 1 << 40
    path.write_bytes(gzip.compress(entry.tobuf()))
    with pytest.raises(BundleError, match="refused"):
        verify(path)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.edgec"
    with tarfile.open(path, "w:gz") as tar:
        for n in range(1100):
            tar.addfile(tarfile.TarInfo(f"m-t/{n}"))
    with pytest.raises(BundleError, match="refused"):
        verify(path)


def test_what_unpacks_to_more_than_bundles_do_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "x.edgec"
    path.write_bytes(gzip.compress(header("m-t/engine", 1 << 29)))
    with pytest.raises(BundleError, match="claims 'm-t/engine' of 536870912 bytes"):
        verify(path)


def test_a_file_that_the_manifest_does_not_have_is_refused_before_it_is_read(tmp_path: Path) -> None:
    text = manifest(engine=digest(ENGINE))
    raw = header("m-t/manifest.json", len(text)) + text + bytes(-len(text) % 512)
    path = tmp_path / "x.edgec"
    path.write_bytes(gzip.compress(raw + header("m-t/more", 1 << 20) + bytes(1 << 20) + bytes(10240)))
    with pytest.raises(BundleError, match=r"more is not in the manifest"):
        verify(path)
