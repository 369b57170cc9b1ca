"""Bundles that no trusted key has signed are refused with the reason, and so are files that are no keys."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.build.regression import compare_with_baseline
from pipeline.bundle.contents import verify
from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys, public_half, sign_bundle, sign_manifest
from pipeline.errors import BundleError, UsageError
from pipeline.report.baseline import baseline_of
from pipeline.report.model.build_report import Report
from targets.runtime.bundle import archive
from targets.runtime.bundle.keyring import KeyringError, parse
from targets.runtime.bundle.manifest import NAME
from targets.runtime.bundle.signature import NAME as SIGNATURE
from targets.runtime.bundle.signature import PublicKey, SignatureError, trusted_keys
from targets.runtime.device_limits import KEY_BYTES, TEXT_BYTES
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.conftest import Edgec
from tests.pipeline.report import samples


@pytest.fixture
def private(tmp_path: Path) -> Path:
    make_keys(tmp_path / "release.key")
    return tmp_path / "release.key"


@pytest.fixture
def public(private: Path) -> PublicKey:
    return PublicKey.read(private.with_suffix(".pub"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "sound.edgec"
    pack({"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}, path, top="m-t")
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    make_keys(tmp_path / "other.key")
    return tmp_path / "other.key"


def test_what_was_signed_is_accepted_and_its_signer_named(
    bundle: Path, private: Path, public: PublicKey
) -> None:
    sign_bundle(bundle, private)
    assert (verify(bundle, [public]).signed, verify(bundle, [public]).signer) == (True, public.origin)
    assert (verify(bundle).signed, verify(bundle).signer) == (True, None)


def test_signing_twice_gives_the_same_bytes(bundle: Path, private: Path) -> None:
    sign_bundle(bundle, private)
    once = bundle.read_bytes()
    sign_bundle(bundle, private)
    assert bundle.read_bytes() == once


def test_an_unsigned_bundle_is_refused_where_a_key_is_trusted(bundle: Path, public: PublicKey) -> None:
    assert not verify(bundle).signed
    with pytest.raises(BundleError, match=r"not signed.*release\.pub"):
        verify(bundle, [public])


def test_an_old_release_is_verified_when_its_engine_is_read_too(
    bundle: Path, private: Path, public: PublicKey, tmp_path: Path
) -> None:
    report, unsigned = samples.report(), bundle.read_bytes()
    baseline = baseline_of(report)
    baseline.save(tmp_path / baseline.file_name)
    nothing: Any = None  # the limits are not reached

    def load() -> Report:
        bundle.write_bytes(unsigned)
        return report

    build: Any = SimpleNamespace(report=SimpleNamespace(load=load))
    with pytest.raises(BundleError, match="not signed"):
        compare_with_baseline(nothing, tmp_path, nothing, bundle, [public])
    sign_bundle(bundle, private)
    with pytest.raises(BundleError, match="not signed"):
        compare_with_baseline(build, tmp_path, nothing, bundle, [public])


def test_a_bundle_signed_with_another_key_is_refused(bundle: Path, other: Path, public: PublicKey) -> None:
    sign_bundle(bundle, other)
    with pytest.raises(BundleError, match=r"signed with the key .*which is not .*release\.pub"):
        verify(bundle, [public])


def test_one_of_several_keys_is_enough(bundle: Path, other: Path, public: PublicKey) -> None:
    sign_bundle(bundle, other)
    assert verify(bundle, [public, PublicKey.read(other.with_suffix(".pub"))]).signer == str(
        other.with_suffix(".pub")
    )


def resigned(bundle: Path, private: Path, of: bytes) -> None:
    """Put a signature of other bytes into a bundle."""
    files = archive.contents(bundle)
    pack({**files, SIGNATURE: sign_manifest(of, private)}, bundle, top="m-t")


def test_a_signature_of_another_manifest_is_refused_even_without_trusted_keys(
    bundle: Path, private: Path, public: PublicKey
) -> None:
    resigned(bundle, private, of=b"another")
    for keys in ([], [public]):
        with pytest.raises(BundleError, match="signature is wrong"):
            verify(bundle, keys)


def test_files_that_the_signed_manifest_does_not_have_are_refused(
    bundle: Path, private: Path, public: PublicKey
) -> None:
    sign_bundle(bundle, private)
    pack({**archive.contents(bundle), "runtime/more.py": b""}, bundle, top="m-t")
    with pytest.raises(BundleError, match=r"runtime/more\.py is not in the manifest"):
        verify(bundle, [public])


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"format": "edgec-signature", "version": 2}'),
        json.dumps({"format": "edgec-signature", "version": 1, "key": "zz", "signature": ""}).encode(),
        json.dumps({"format": "edgec-signature", "version": 1, "key": 7, "signature": None}).encode(),
    ],
)
def test_a_malformed_signature_is_refused(bundle: Path, public: PublicKey, text: bytes) -> None:
    pack({**archive.contents(bundle), SIGNATURE: text}, bundle, top="m-t")
    for keys in ([], [public]):
        with pytest.raises(BundleError, match=r"signature\.json cannot be used"):
            verify(bundle, keys)


def test_a_huge_manifest_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pack({NAME: bytes(TEXT_BYTES + 1)}, tmp_path / "x.edgec", top="m-t")
    with pytest.raises(BundleError, match=r"claims manifest\.json"):
        verify(tmp_path / "x.edgec")


def test_private_keys_are_for_their_owner_alone_and_never_replaced(private: Path) -> None:
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    with pytest.raises(UsageError, match="already exists"):
        make_keys(private)
    assert private.read_bytes() == before


def test_the_public_key_file_is_the_same_as_the_library_writes(private: Path, public: PublicKey) -> None:
    assert public.pem == private.with_suffix(".pub").read_text()
    assert public_half(private).key == public.key


def test_keys_that_are_none_are_refused(tmp_path: Path, bundle: Path, private: Path) -> None:
    junk = tmp_path / "junk.pub"
    for text in (
        "",
        "hello",
        private.read_text(),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ):
        junk.write_text(text)
        with pytest.raises(SignatureError, match=r"junk\.pub"):
            PublicKey.read(junk)
    with pytest.raises(UsageError, match="not a private key"):
        sign_bundle(bundle, junk)
    with pytest.raises(UsageError, match="cannot be read"):
        sign_bundle(bundle, tmp_path / "none")


def test_a_machine_trusts_the_keys_in_its_folders(
    tmp_path: Path, public: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / ".config" / "edgec" / "keys"
    folder.mkdir(parents=True)
    (folder / "release.pub").write_text(public.pem)
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "factory.pub").write_text(public.pem)
    origins = [key.origin for key in trusted_keys(tmp_path, tmp_path / "system")]
    assert origins == [str(folder / "release.pub"), str(tmp_path / "system" / "factory.pub")]


def test_the_commands_do_the_same(edgec: Edgec, tmp_path: Path, bundle: Path) -> None:
    key = tmp_path / "a.key"
    assert edgec("keygen", key).returncode == 0
    assert edgec("sign", bundle, "--key", key).returncode == 0
    done = edgec("verify", bundle, "--key", key.with_suffix(".pub"))
    assert done.returncode == 0
    assert f"signed with {key.with_suffix('.pub')}" in done.stdout
    make_keys(tmp_path / "b.key")
    done = edgec("verify", bundle, "--key", tmp_path / "b.pub")
    assert done.returncode == 1
    assert "is refused" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "endless", "long"])
def test_a_key_that_is_not_a_plain_file_is_refused_at_once(kind: str, bundle: Path, tmp_path: Path) -> None:
    path = Path("/dev/zero") if kind == "endless" else tmp_path / "x.pub"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "long":
        path.write_bytes(b"-" * (KEY_BYTES + 1))
    with pytest.raises(SignatureError, match="cannot be read as a public key"):
        PublicKey.read(path)
    with pytest.raises(KeyringError, match="is not a statement about keys"):
        parse(path)
    with pytest.raises(UsageError, match="cannot be read"):
        sign_bundle(bundle, path)
