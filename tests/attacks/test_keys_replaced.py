"""Keys are replaced and revoked by a statement of those trusted now; where two have to sign, both do."""

import json
from pathlib import Path

import pytest

from pipeline.bundle.contents import verify
from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys, make_statement, sign_bundle
from pipeline.errors import BundleError, UsageError
from targets.runtime.bundle import install, rekey
from targets.runtime.bundle.keyring import Keyring, KeyringError
from targets.runtime.bundle.manifest import NAME
from targets.runtime.bundle.signature import PublicKey, SignatureError, own_keys, trusted_keys
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.conftest import Edgec

KEYS = ("old", "new", "third", "evil")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that trusts the key `old`."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in KEYS:
        make_keys(tmp_path / f"{name}.key")
    own_keys().mkdir(parents=True)
    (own_keys() / "old.pub").write_text((tmp_path / "old.pub").read_text())
    return tmp_path


def bundle(folder: Path, *signers: str) -> Path:
    path = folder / "x.edgec"
    pack({"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}, path, top="m-t")
    for name in signers:
        sign_bundle(path, folder / f"{name}.key", add=True)
    return path


def public(folder: Path, *names: str) -> tuple[bytes, ...]:
    return tuple(PublicKey.read(folder / f"{name}.pub").key for name in names)


def trusted() -> list[PublicKey]:
    return trusted_keys(system=Path("/nowhere"))


def takes(folder: Path, *signers: str) -> bool:
    try:
        verify(bundle(folder, *signers), trusted())
    except BundleError:
        return False
    return True


def statement(
    folder: Path, signers: tuple[str, ...], number: int = 1, needed: int = 1, revoked: tuple[str, ...] = ()
) -> Path:
    ring = Keyring(number, public(folder, "new"), public(folder, *revoked), needed, "")
    path = folder / f"{number}.json"
    path.write_text(make_statement(ring, [folder / f"{name}.key" for name in signers]).to_json())
    return path


def test_a_statement_of_the_old_key_replaces_it(machine: Path) -> None:
    assert takes(machine, "old")
    assert not takes(machine, "new")
    rekey.accept(statement(machine, ("old",), revoked=("old",)), own_keys(), trusted())
    assert takes(machine, "new")
    assert not takes(machine, "old")


def test_what_the_revoked_key_signed_is_not_gone_back_to(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "run_selftest", lambda _: {})
    into = machine / "into"
    install.install(bundle(machine, "old"), into, trusted())
    rekey.accept(statement(machine, ("old",), revoked=("old",)), own_keys(), trusted())
    path = bundle(machine, "new")
    sign_bundle(path, machine / "new.key", release=2)
    install.install(path, into, trusted())
    with pytest.raises(SignatureError, match="is not"):
        install.rollback(into, trusted())


@pytest.mark.parametrize("signers", [("evil",), ("new",), ()], ids=["another", "itself", "nobody"])
def test_a_statement_of_other_keys_changes_nothing(machine: Path, signers: tuple[str, ...]) -> None:
    with pytest.raises(SignatureError):
        rekey.accept(statement(machine, signers), own_keys(), trusted())
    assert takes(machine, "old")
    assert not takes(machine, "new")


def test_a_changed_statement_is_refused(machine: Path) -> None:
    path = statement(machine, ("old",))
    found = json.loads(path.read_text())
    text = found["statement"].replace('"needed": 1', '"needed": 2')
    path.write_text(json.dumps({**found, "statement": text}))
    with pytest.raises(SignatureError, match="wrong signature"):
        rekey.accept(path, own_keys(), trusted())


def test_an_older_statement_does_not_return(machine: Path) -> None:
    first, second = (statement(machine, ("old",), number) for number in (1, 2))
    rekey.accept(second, own_keys(), trusted())
    for again in (first, second):
        with pytest.raises(KeyringError, match="has had 2"):
            rekey.accept(again, own_keys(), trusted())


def test_no_statement_locks_the_machine_out(machine: Path) -> None:
    with pytest.raises(KeyringError, match="leaves 1 keys, and requires 2"):
        rekey.accept(statement(machine, ("old",), needed=2, revoked=("old",)), own_keys(), trusted())


def test_the_next_statement_brings_no_revoked_key_back_and_drops_none(machine: Path) -> None:
    rekey.accept(statement(machine, ("old",), revoked=("old",)), own_keys(), trusted())
    ring = Keyring(2, public(machine, "evil"), (), 1, "")
    path = machine / "second.json"
    path.write_text(make_statement(ring, [machine / "new.key"]).to_json())
    rekey.accept(path, own_keys(), trusted())
    assert not takes(machine, "old")
    assert takes(machine, "new")
    assert takes(machine, "evil"), "it is the key that the second statement trusts"
    found = rekey.accept(statement(machine, ("new",), number=3, needed=2), own_keys(), trusted())
    assert found.number == 3
    assert takes(machine, "new", "evil")
    assert not takes(machine, "old", "new")


def test_a_statement_that_arrives_cannot_say_what_was_said_before(machine: Path) -> None:
    path = statement(machine, ("old",))
    found = json.loads(path.read_text())
    path.write_text(
        json.dumps({**found, "before": {"trusted": [public(machine, "evil")[0].hex()], "revoked": []}})
    )
    rekey.accept(path, own_keys(), trusted())
    assert takes(machine, "new")
    assert not takes(machine, "evil")


def test_where_two_have_to_sign_one_is_refused(machine: Path) -> None:
    rekey.accept(statement(machine, ("old",), needed=2), own_keys(), trusted())
    assert not takes(machine, "old")
    assert not takes(machine, "new")
    assert not takes(machine, "old", "evil")
    assert takes(machine, "old", "new")
    with pytest.raises(SignatureError, match="requires 2 of"):  # also for the next statement
        rekey.accept(statement(machine, ("old",), 2), own_keys(), trusted())
    rekey.accept(statement(machine, ("old", "new"), 2), own_keys(), trusted())


def test_a_file_says_how_many_have_to_sign(machine: Path) -> None:
    (own_keys() / "new.pub").write_text((machine / "new.pub").read_text())
    (own_keys() / "needed").write_text("2\n")
    assert not takes(machine, "old")
    assert not takes(machine, "old", "old")
    assert takes(machine, "new", "old")
    for wrong in ("0", "many", "9" * 5000, ""):
        (own_keys() / "needed").write_text(wrong)
        with pytest.raises(SignatureError, match="needed"):
            trusted()


def test_a_signature_is_not_added_to_another_manifest(machine: Path) -> None:
    path = bundle(machine, "old")
    with pytest.raises(UsageError, match="signs the manifest unchanged"):
        sign_bundle(path, machine / "new.key", release=3, add=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"statement": 7, "signatures": []}', "[" * 60_000])
def test_a_malformed_statement_is_refused(machine: Path, text: str) -> None:
    (machine / "x.json").write_text(text)
    with pytest.raises(KeyringError, match="is not a statement"):
        rekey.accept(machine / "x.json", own_keys(), trusted())


def test_the_commands_do_the_same(machine: Path, edgec: Edgec, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--key", machine / "old.key", "--trust", machine / "new.pub", "--revoke", machine / "old.pub")
    made = edgec("rekey", machine / "s.json", *words, "--number", "1")
    assert made.returncode == 0, made.stderr
    assert install.main(["--keys", str(machine / "s.json")]) == 0
    assert json.loads(capsys.readouterr().out) == {"number": 1, "needed": 1}
    assert not takes(machine, "old")
    assert takes(machine, "new")
