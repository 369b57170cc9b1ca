"""Who made a bundle: a signature over its manifest, which holds the digest of every file.

Trusted keys are PEM files (as of `openssl pkey -pubout` or `edgec keygen`) named *.pub, in
~/.config/edgec/keys and /etc/edgec/keys. Where there is one, a bundle that none of them signed is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from . import ed25519

NAME = "signature.json"
FORMAT = "edgec-signature"
VERSION = 1
CONTEXT = b"edgec bundle manifest, version 1\n"
"""Prefix of the signed bytes, so that no signature made for another purpose is valid."""
PEM_BEGIN, PEM_END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
PREFIX = bytes.fromhex("302a300506032b6570032100")
"""The bytes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""


class SignatureError(ValueError):
    """A bundle that is not signed with a trusted key, or a file that is not a key."""


@dataclass(frozen=True)
class PublicKey:
    """A public key and where it was found."""

    key: bytes
    origin: str

    @classmethod
    def parse(cls, text: str, origin: str) -> PublicKey:
        """Read a PEM file's text. Raises SignatureError."""
        lines = text.strip().splitlines()
        try:
            if lines[0].strip() != PEM_BEGIN or lines[-1].strip() != PEM_END:
                raise ValueError
            encoded = base64.b64decode("".join(line.strip() for line in lines[1:-1]), validate=True)
        except (ValueError, IndexError, binascii.Error):
            raise SignatureError(
                f"{origin} is not a public key: expected a PEM file, {PEM_BEGIN} ..."
            ) from None
        if len(encoded) != len(PREFIX) + 32 or not encoded.startswith(PREFIX):
            raise SignatureError(
                f"{origin} is a public key, but none of Ed25519. Make one with `edgec keygen`."
            )
        return cls(encoded[len(PREFIX) :], origin)

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a PEM file. Raises SignatureError."""
        try:
            return cls.parse(path.read_text(encoding="ascii"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise SignatureError(f"{path} cannot be read as a public key: {error}") from error

    @property
    def pem(self) -> str:
        """The text of a PEM file."""
        return f"{PEM_BEGIN}\n{base64.b64encode(PREFIX + self.key).decode()}\n{PEM_END}\n"

    @property
    def name(self) -> str:
        """The key in a form that is short enough to compare by eye."""
        return base64.b64encode(self.key).decode().rstrip("=")


@dataclass(frozen=True)
class Signature:
    """The content of signature.json."""

    key: bytes
    signature: bytes

    def to_json(self) -> str:
        """Return the JSON text."""
        fields = {"key": self.key.hex(), "signature": self.signature.hex()}
        return json.dumps({"format": FORMAT, "version": VERSION, **fields}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: bytes) -> Signature:
        """Read the JSON text. Raises SignatureError."""
        try:
            found = json.loads(text.decode("ascii"))
            if (found["format"], found["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it is {found['format']} version {found['version']}")
            return cls(bytes.fromhex(found["key"]), bytes.fromhex(found["signature"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SignatureError(f"{NAME} cannot be used: {error}") from error


def trusted_keys(home: Path | None = None, system: Path = Path("/etc/edgec/keys")) -> list[PublicKey]:
    """Return the keys that this machine trusts. Raises SignatureError for a file that is not a key."""
    own = os.environ.get("XDG_CONFIG_HOME") or str((home or Path.home()) / ".config")
    folders = (Path(own) / "edgec" / "keys", system)
    return [PublicKey.read(path) for folder in folders for path in sorted(folder.glob("*.pub"))]


def check(manifest: bytes, signature: bytes | None, trusted: Sequence[PublicKey]) -> str | None:
    """Return the origin of the trusted key that signed the manifest; None if no key is trusted.

    signature is the content of signature.json, None if there is no such file. A signature that is there must
    be right even where no key is trusted. Raises SignatureError.
    """
    if signature is None:
        if trusted:
            raise SignatureError(
                "it is not signed, and this machine takes only what is signed with"
                f" {' or '.join(key.origin for key in trusted)}"
            )
        return None
    found = Signature.parse(signature)
    if not ed25519.verify(found.key, CONTEXT + manifest, found.signature):
        raise SignatureError("its signature is wrong: the manifest was changed after it was signed")
    signer = next((key.origin for key in trusted if key.key == found.key), None)
    if trusted and signer is None:
        name = PublicKey(found.key, "").name
        raise SignatureError(
            f"it is signed with the key {name}, which is not {' or '.join(key.origin for key in trusted)}"
        )
    return signer
