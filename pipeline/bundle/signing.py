"""Making Ed25519 keys and signing bundles with them, by the `cryptography` package."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from pipeline.bundle.contents import opened, verify
from pipeline.bundle.pack import pack
from pipeline.cache.atomic import replacing
from pipeline.cache.store import writing
from pipeline.errors import UsageError
from pipeline.reading.plain_file import read_plain
from targets.runtime.bundle import signature
from targets.runtime.bundle.keyring import Keyring, Statement
from targets.runtime.bundle.manifest import NAME, Manifest
from targets.runtime.bundle.signature import CONTEXT, PublicKey, Signature
from targets.runtime.device_limits import KEY_BYTES


def make_keys(private: Path) -> Path:
    """Write a new private key, readable only by its owner, and the public key beside it (.pub).

    Both are PEM files, as openssl reads them. Raises UsageError if one of the files exists, and StorageError
    if their folder does not: who may enter it is for its owner to decide.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    public = private.with_suffix(".pub")
    if public == private:
        raise UsageError(f"{private} is a name for the public key. Give another, such as release.key.")
    for path in (private, public):
        if path.exists():
            raise UsageError(
                f"{path} already exists, and keys are never overwritten. Give another name, such as"
                " release.key."
            )
    key = Ed25519PrivateKey.generate()
    with writing(private.parent, "the key's name"):
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def sign_manifest(manifest: bytes, private: Path) -> bytes:
    """Return signature.json for the bytes of a manifest. Raises UsageError if the key cannot be used."""
    return Signature(*signed(CONTEXT + manifest, private)).to_json().encode()


def make_statement(ring: Keyring, private: Sequence[Path]) -> Statement:
    """Return a signed statement about keys. Raises UsageError if a key cannot be used."""
    text = ring.to_text()
    return Statement(text, dict(signed(Statement(text, {}).signed, key) for key in private))


def signed(message: bytes, private: Path) -> tuple[bytes, bytes]:
    """Return the public key and the signature of a message. Raises UsageError if the key cannot be used."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(read_plain(private, KEY_BYTES), password=None)
    except OSError as error:
        raise UsageError(f"The key {private} cannot be read: {error.strerror}.") from error
    except TypeError:
        raise UsageError(
            f"The key {private} has a passphrase. Remove it: openssl pkey -in {private} -out open.key"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{private} is not a private key in PEM format: {error}. Make one with `edgec keygen`."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{private} is not an Ed25519 private key. Make one with `edgec keygen`.")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return public, key.sign(message)


def release_now() -> int:
    """Return a release number that rises by itself: date, time of day (UTC) and hundredths of a second.

    Of two bundles signed within one second, the second is the newer one, too. Below 2^53, which JSON keeps.
    """
    return int(datetime.now(UTC).strftime("%Y%m%d%H%M%S%f")[:-4])


def sign_bundle(
    bundle: Path,
    private: Path,
    release: int | None = None,
    expires: date | None = None,
    confirm: tuple[int, float] | None = None,
    *,
    add: bool = False,
) -> None:
    """Sign a bundle, replacing its signatures, or beside those of other keys.

    release, expires and confirm become part of the manifest; None keeps what it has, but a bundle without a
    release gets the moment it is signed at. Raises BundleError for a damaged bundle, UsageError if signatures
    would stay that are not of the new manifest.
    """
    with opened(bundle) as held:
        files, top, manifest = held.contents(), held.top, held.manifest
    before = files.pop(signature.NAME, None)
    if release is None and not manifest.release and not add:
        release = release_now()
    if release is not None:
        manifest = replace(manifest, release=release)
    if expires is not None:
        manifest = replace(manifest, expires=expires.isoformat())
    if confirm is not None:
        manifest = replace(manifest, confirm=confirm)
    if manifest != Manifest.parse(files[NAME].decode()):
        if add:
            raise UsageError("--add signs the manifest unchanged. Leave the other options out.")
        files[NAME] = manifest.to_json().encode()
    made = sign_manifest(files[NAME], private)
    if add and before is not None:
        made = Signature.parse(before).with_another(Signature.parse(made)).to_json().encode()
    files[signature.NAME] = made
    with writing(bundle.parent, "a copy of the bundle"), replacing(bundle) as scratch:
        pack(files, scratch, top)
        verify(scratch)


def public_half(private: Path) -> PublicKey:
    """Return the public key that belongs to a private key."""
    return PublicKey(Signature.parse(sign_manifest(b"", private)).key, str(private))
