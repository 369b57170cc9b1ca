"""Who made a bundle: a signature over its manifest, which holds the digest of every file.

Trusted keys are PEM files (as of `openssl pkey -pubout` or `edgec keygen`) named *.pub, in
~/.config/edgec/keys and /etc/edgec/keys. Where there is one, a bundle that none of them signed is refused.
A file `needed` beside them says how many of them must have signed. See keyring.py for replacing them.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Sequence

from ..device_limits import KEY_BYTES, TEXT_BYTES
from ..named_folder import WrongVariable, named_folder
from . import ed25519, keyring
from .regular_file import read_at_most

NAME = "signature.json"
FORMAT = "edgec-signature"
VERSION = 1
MOST_SIGNATURES = 16
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
    needed: int = 1
    """How many trusted keys must have signed a bundle."""

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
                f"{origin} is a public key, but not an Ed25519 key. Make one with `edgec keygen`."
            )
        return cls(encoded[len(PREFIX) :], origin)

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Read a PEM file. Raises SignatureError."""
        try:
            return cls.parse(read_at_most(path, KEY_BYTES).decode("ascii"), str(path))
        except OSError as error:
            raise SignatureError(f"{path} cannot be read as a public key: {error.strerror}") from error
        except UnicodeDecodeError as error:
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
    """The content of signature.json: a signature, and those of other keys over the same bytes."""

    key: bytes
    signature: bytes
    also: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def all(self) -> tuple[tuple[bytes, bytes], ...]:
        """Every key with its signature."""
        return ((self.key, self.signature), *self.also)

    def with_another(self, other: Signature) -> Signature:
        """Return both; a signature of the same key is replaced."""
        kept = [one for one in self.all if one[0] not in dict(other.all)]
        (key, signature), *also = (*kept, *other.all)
        return Signature(key, signature, tuple(also))

    def to_json(self) -> str:
        """Return the JSON text."""
        fields: dict[str, object] = {"key": self.key.hex(), "signature": self.signature.hex()}
        if self.also:
            fields["also"] = [{"key": key.hex(), "signature": made.hex()} for key, made in self.also]
        return json.dumps({"format": FORMAT, "version": VERSION, **fields}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: bytes) -> Signature:
        """Read the JSON text. Raises SignatureError."""
        try:
            if len(text) > TEXT_BYTES:
                raise ValueError(f"it has {len(text):,} bytes; at most {TEXT_BYTES:,} are read")
            found = json.loads(text.decode("ascii"))
            if (found["format"], found["version"]) != (FORMAT, VERSION):
                raise ValueError(f"it is {found['format']} version {found['version']}")
            pairs = [
                (bytes.fromhex(one["key"]), bytes.fromhex(one["signature"]))
                for one in (found, *found.get("also", ()))
            ]
            if len(pairs) > MOST_SIGNATURES or len(dict(pairs)) != len(pairs):
                raise ValueError(f"it has {len(pairs)} signatures of {len(dict(pairs))} keys")
            return cls(*pairs[0], tuple(pairs[1:]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SignatureError(f"{NAME} cannot be used: {error}") from error


def trusted_keys(home: Path | None = None, system: Path = Path("/etc/edgec/keys")) -> list[PublicKey]:
    """Return the keys that this machine trusts. Raises SignatureError for a file that is not a key."""
    folders = (own_keys(home), system)
    keys = [PublicKey.read(path) for folder in folders for path in sorted(folder.glob("*.pub"))]
    rings = [ring for ring in map(keyring.read, folders) if ring is not None]
    revoked = {key for ring in rings for key in ring.revoked}
    keys += [PublicKey(key, ring.origin) for ring in rings for key in ring.trusted]
    needed = max([1, *map(_needed, folders), *(ring.needed for ring in rings)])
    kept = [replace(key, needed=needed) for key in keys if key.key not in revoked]
    if keys and not kept:
        raise SignatureError("every key that this machine trusted is revoked, so it accepts no bundle")
    return kept


def own_keys(home: Path | None = None) -> Path:
    """Return the folder of the user's keys. Raises SignatureError if XDG_CONFIG_HOME can name none."""
    try:
        own = named_folder("XDG_CONFIG_HOME", (home or Path.home()) / ".config")
    except WrongVariable as error:
        raise SignatureError(str(error).rstrip(".")) from error
    return own / "edgec" / "keys"


def _needed(folder: Path) -> int:
    path = folder / "needed"
    try:
        text = read_at_most(path, KEY_BYTES).decode("ascii").strip()
    except FileNotFoundError:
        return 1
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(f"{path} cannot be read: {error}") from error
    if not text.isdecimal() or not 1 <= int(text[:3]) <= MOST_SIGNATURES:
        raise SignatureError(f"{path} has {text[:20]!r}; it has to be a number from 1 to {MOST_SIGNATURES}")
    return int(text)


def check(manifest: bytes, signature: bytes | None, trusted: Sequence[PublicKey]) -> str | None:
    """Return the origins of the trusted keys that signed the manifest; None if no key is trusted.

    signature is the content of signature.json, None if there is no such file. A signature that is there must
    be right even where no key is trusted. Raises SignatureError.
    """
    if signature is None:
        if trusted:
            raise SignatureError(
                "it is not signed, and this machine accepts only bundles signed with"
                f" {' or '.join(key.origin for key in trusted)}"
            )
        return None
    found = Signature.parse(signature)
    if not all(ed25519.verify(key, CONTEXT + manifest, made) for key, made in found.all):
        raise SignatureError("its signature is wrong: the manifest was changed after it was signed")
    return " and ".join(signers([key for key, _ in found.all], trusted)) if trusted else None


def signers(keys: Sequence[bytes], trusted: Sequence[PublicKey]) -> list[str]:
    """Return the origins of the trusted keys among `keys`. Raises SignatureError if they are too few."""
    origins = {key.key: key.origin for key in trusted}
    found = [origins[key] for key in origins if key in keys]
    needed = max((key.needed for key in trusted), default=1)
    known = " or ".join(key.origin for key in trusted)
    if not found:
        names = " and ".join(PublicKey(key, "").name for key in keys)
        raise SignatureError(f"it is signed with the key {names}, which is not {known}")
    if len(found) < needed:
        raise SignatureError(
            f"it is signed with {' and '.join(found)} alone, and this machine requires {needed} of {known}"
        )
    return found
