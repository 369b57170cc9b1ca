"""Accepts a statement that replaces or revokes the keys that this machine trusts."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from . import ed25519, keyring
from .keyring import Keyring, KeyringError
from .signature import PublicKey, SignatureError, signers


def accept(path: Path, folder: Path, trusted: Sequence[PublicKey]) -> Keyring:
    """Accept the statement in `path` if keys trusted now have signed it; return its content.

    Raises SignatureError if they have not, KeyringError if it is older than the accepted one or
    leaves no way to sign anything.
    """
    statement = keyring.parse(path)
    if not trusted:
        raise SignatureError(
            "no key is trusted on this machine, so no statement can be. Install a public key first"
        )
    right = [key for key, made in statement.signatures.items() if ed25519.verify(key, statement.signed, made)]
    if len(right) != len(statement.signatures):
        raise SignatureError(f"{path} has a wrong signature: it was changed after it was signed")
    signers(right, trusted)
    found, before = statement.keyring(str(path)), keyring.read(folder)
    if before is not None and found.number <= before.number:
        raise KeyringError(f"{path} is statement {found.number}, and this machine has had {before.number}")
    kept = {*found.trusted, *(key.key for key in trusted)} - set(found.revoked)
    kept -= set(before.revoked) if before is not None else set()
    if len(kept) < found.needed:
        raise KeyringError(f"{path} leaves {len(kept)} keys, and requires {found.needed} signatures")
    keyring.keep(folder, statement)
    return found
