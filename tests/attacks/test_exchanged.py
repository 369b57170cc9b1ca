"""The verified bytes are those that are read, unpacked and used, even if files change in between."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.bundle import signing
from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys, sign_bundle
from targets.runtime.bundle import install
from targets.runtime.bundle.archive import ArchiveError, opened
from targets.runtime.bundle.history import NAME as HISTORY
from targets.runtime.bundle.history import HistoryError, switches
from targets.runtime.bundle.install import InstallError
from targets.runtime.bundle.manifest import NAME
from targets.runtime.bundle.signature import PublicKey, SignatureError
from tests.attacks.bundles import ENGINE, digest, manifest

EVIL = b"an ENGINE'S bytes"


def bundle_of(path: Path, engine: bytes) -> Path:
    pack({"engine": engine, NAME: manifest(engine=digest(engine))}, path, top="m-t")
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "sound.edgec", ENGINE)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "evil.edgec", EVIL)


@pytest.fixture(autouse=True)
def _passing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_selftest", lambda _: {})


@pytest.fixture
def private(tmp_path: Path) -> Path:
    make_keys(tmp_path / "release.key")
    return tmp_path / "release.key"


@pytest.fixture
def public(private: Path) -> PublicKey:
    return PublicKey.read(private.with_suffix(".pub"))


def current(into: Path) -> bytes:
    return (into / "current" / "engine").read_bytes()


def test_a_file_exchanged_after_it_was_opened_is_not_read(sound: Path, evil: Path, tmp_path: Path) -> None:
    with opened(sound) as held:
        evil.replace(sound)
        assert held.read("engine") == ENGINE
        held.unpack(tmp_path / "there")
    assert (tmp_path / "there" / "engine").read_bytes() == ENGINE


def test_a_file_changed_in_place_after_it_was_opened_is_refused(
    sound: Path, evil: Path, tmp_path: Path
) -> None:
    with opened(sound) as held:
        sound.write_bytes(evil.read_bytes())
        with pytest.raises(ArchiveError, match="engine was changed"):
            held.read("engine")
        with pytest.raises(ArchiveError, match="was changed"):
            held.unpack(tmp_path / "there")


def test_what_lies_under_the_versions_name_is_compared_with_the_verified_manifest(
    sound: Path, tmp_path: Path
) -> None:
    into = tmp_path / "into"
    version = into / "versions" / install.install(sound, into)["version"]
    (version / "engine").write_bytes(EVIL)
    (version / NAME).write_bytes(manifest(engine=digest(EVIL)))
    install.install(sound, into)
    assert current(into) == ENGINE


def test_going_back_to_an_unsigned_version_is_refused_where_a_key_is_trusted(
    sound: Path, evil: Path, private: Path, public: PublicKey, tmp_path: Path
) -> None:
    into = tmp_path / "into"
    install.install(evil, into)
    sign_bundle(sound, private)
    install.install(sound, into, [public])
    with pytest.raises(SignatureError, match="not signed"):
        install.rollback(into, [public])
    assert current(into) == ENGINE


def test_going_back_to_a_changed_version_is_refused(sound: Path, evil: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    install.install(sound, into)
    install.install(evil, into)
    (into / "previous" / "engine").write_bytes(EVIL)
    with pytest.raises(InstallError, match="was changed: engine"):
        install.rollback(into)


def released(bundle: Path, private: Path, release: int) -> Path:
    sign_bundle(bundle, private, release=release)
    return bundle


def test_an_older_release_does_not_replace_a_newer_one_unnoticed(
    sound: Path, evil: Path, private: Path, tmp_path: Path
) -> None:
    into = tmp_path / "into"
    install.install(released(sound, private, 7), into)
    install.install(released(sound, private, 7), into)  # the same release again is no downgrade
    with pytest.raises(InstallError, match="is release 6, and this device has had release 7"):
        install.install(released(evil, private, 6), into)
    assert current(into) == ENGINE
    install.install(evil, into, allow_downgrade=True)
    install.rollback(into)
    assert [(switch.release, switch.how) for switch in switches(into)] == [
        (7, "install"),
        (6, "downgrade"),
        (7, "rollback"),
    ]
    with pytest.raises(InstallError, match="has had release 7"):
        install.install(evil, into)


def test_signed_without_a_number_the_one_signed_first_is_the_older_one(
    sound: Path, evil: Path, private: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into, moments = tmp_path / "into", iter([2026112818450000, 2026112818450001])
    monkeypatch.setattr(signing, "release_now", lambda: next(moments))
    sign_bundle(evil, private)
    sign_bundle(sound, private)
    sign_bundle(sound, private)  # a bundle that is signed again keeps its number
    install.install(sound, into)
    with pytest.raises(InstallError, match="is release 2026112818450000, and this device has had release"):
        install.install(evil, into)
    assert current(into) == ENGINE


def test_the_number_of_a_moment_is_its_date_and_its_time() -> None:
    number = signing.release_now()
    seconds = number // 100
    assert datetime.strptime(str(seconds), "%Y%m%d%H%M%S").strftime("%Y%m%d%H%M%S") == str(seconds)
    assert number < 2**53
    while (later := signing.release_now()) == number:
        pass
    assert later > number


def test_without_a_release_number_bundles_follow_each_other_freely(
    sound: Path, evil: Path, tmp_path: Path
) -> None:
    into = tmp_path / "into"
    for bundle in (sound, evil, sound):
        install.install(bundle, into)
    assert "release" not in json.loads((into / "current" / NAME).read_text())


def test_an_unreadable_history_refuses_every_bundle(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / HISTORY).write_text("7\n")
    with pytest.raises(HistoryError, match="cannot be read"):
        install.install(sound, tmp_path / "into")
    assert not (tmp_path / "into" / "current").exists()


@pytest.mark.parametrize("release", ['"7"', "null", "1.5", "true"])
def test_a_history_with_releases_that_are_not_numbers_refuses_every_bundle(
    sound: Path, tmp_path: Path, release: str
) -> None:
    (tmp_path / "into").mkdir()
    line = f'{{"version": "v", "release": {release}, "how": "install", "signer": null}}\n'
    (tmp_path / "into" / HISTORY).write_text(line)
    with pytest.raises(HistoryError, match="cannot be read"):
        install.install(sound, tmp_path / "into")


@pytest.mark.parametrize(("expires", "taken"), [("2020-01-01", False), ("9999-12-31", True)])
def test_an_expired_bundle_is_refused(sound: Path, tmp_path: Path, expires: str, taken: bool) -> None:
    fields = json.loads(manifest(engine=digest(ENGINE)))
    text = json.dumps({**fields, "expires": expires}).encode()
    pack({"engine": ENGINE, NAME: text}, sound, top="m-t")
    if taken:
        install.install(sound, tmp_path / "into")
    else:
        with pytest.raises(InstallError, match="could be installed until 2020-01-01"):
            install.install(sound, tmp_path / "into")


@pytest.mark.timeout(60)  # a pipe that nobody writes to is waited for, for ever
def test_a_pipe_or_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.edgec")
    for path in (tmp_path / "x.edgec", Path("/dev/zero"), tmp_path):
        with pytest.raises(ArchiveError, match=r"is not a file|cannot be read"), opened(path):
            pass


NOT_TEXT = ("an object", "no text", "a class that is none")
"""Of these it is said what is wrong, and not only that something is."""
FIELDS: dict[str, dict[str, object]] = {
    "an escape": {"model": "../escape"},
    "an absolute path": {"target": "/etc"},
    "an option": {"model": "-rf"},
    "an object": {"model": {"a": 1}},
    "no text": {"fingerprint": 7},
    "a terminal's escape": {"target": "\x1b]0;owned\x07"},
    "an engine outside": {"engine": "../../etc/passwd"},
    "a list of files": {"files": ["engine"]},
    "a number of files": {"files": 7},
    "a digest that is none": {"files": {"engine": "00"}},
    "a class that is none": {"classes": ["a", 7]},
    "half a character": {"classes": ["a", "b\ud800"]},
    "a text of classes": {"classes": "ab"},
    "an object of classes": {"classes": {"a": 1, "b": 2}},
    "pixels that are none": {"pixels": [-1, "2"]},
    "pixels that are empty": {"pixels": []},
    "pixels that are false": {"pixels": False},
    "a confirmation that is empty": {"confirm": {}},
    "a release that is none": {"release": 1.5},
    "a day that is none": {"expires": "soon"},
    "a day that text compares wrongly": {"expires": "2030-9-01"},
    "a day in other digits": {"expires": "２０３０-01-01"},
    "a field of the future": {"more": 1},
}


def test_a_manifest_that_names_a_field_twice_is_refused(sound: Path) -> None:
    text = manifest(engine=digest(ENGINE)).replace(
        b'"engine": "engine"', b'"engine": "x", "engine": "engine"'
    )
    pack({"engine": ENGINE, NAME: text}, sound, top="m-t")
    with pytest.raises(ArchiveError, match="'engine' is in it twice"), opened(sound):
        pass


@pytest.mark.parametrize("name", FIELDS)
def test_a_manifest_of_another_shape_is_refused(sound: Path, name: str) -> None:
    fields = json.loads(manifest(engine=digest(ENGINE))) | FIELDS[name]
    pack({"engine": ENGINE, NAME: json.dumps(fields).encode()}, sound, top="m-t")
    with pytest.raises(ArchiveError, match="the manifest cannot be used") as error, opened(sound):
        pass
    assert "\x1b" not in str(error.value)
    assert ("which is not text" in str(error.value)) == (name in NOT_TEXT)


@pytest.mark.parametrize("text", [b"7", b"[]", b'{"a":' * 100_000, b"[" * 100_000, b'"\\ud800"'])
def test_a_manifest_that_is_no_object_is_refused(sound: Path, text: bytes) -> None:
    pack({"engine": ENGINE, NAME: text}, sound, top="m-t")
    with pytest.raises(ArchiveError, match="the manifest cannot be used"), opened(sound):
        pass


def test_many_names_in_a_manifest_do_not_take_it_long(sound: Path) -> None:
    names = ", ".join(f'"f{number}": "{digest(b"")}"' for number in range(15_000))
    text = (
        manifest(engine=digest(ENGINE))
        .decode()
        .replace('"files": {', '"files": {' + names + ', "f14999": "", ')
    )
    pack({"engine": ENGINE, NAME: text.encode()}, sound, top="m-t")
    with pytest.raises(ArchiveError, match="'f14999' is in it twice"), opened(sound):
        pass
