"""Replacing and revoking the keys that a machine trusts, by a statement that those trusted now have signed.

A statement is a JSON file: its text, and signatures over that text. An accepted one becomes keys.json in the
folder of keys, in one step, and only one with a higher number replaces it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..device_limits import KEY_BYTES
from .regular_file import read_at_most

NAME = "keys.json"
FORMAT = "edgec-keys"
BEFORE = "before"
"""What earlier statements said, in the file of the one in force; a statement that arrives cannot say it."""
CONTEXT = b"edgec keys statement, version 1\n"
"""Prefix of the signed bytes, so that no signature made for another purpose is valid."""


class KeyringError(ValueError):
    """A statement that cannot be used."""


@dataclass(frozen=True)
class Keyring:
    """What a statement says: keys to trust beside the files, keys to trust no more, how many have to sign."""

    number: int
    trusted: tuple[bytes, ...]
    revoked: tuple[bytes, ...]
    needed: int
    origin: str

    def to_text(self) -> str:
        """Return the text that is signed."""
        return json.dumps(
            {
                "format": FORMAT,
                "number": self.number,
                "trusted": [key.hex() for key in self.trusted],
                "revoked": [key.hex() for key in self.revoked],
                "needed": self.needed,
            }
        )


@dataclass(frozen=True)
class Statement:
    """A statement and its signatures, by key."""

    text: str
    signatures: dict[bytes, bytes]

    def to_json(self) -> str:
        """Return the content of its file."""
        made = [{"key": key.hex(), "signature": one.hex()} for key, one in self.signatures.items()]
        return json.dumps({"statement": self.text, "signatures": made}, indent=1) + "\n"

    @property
    def signed(self) -> bytes:
        """The bytes that are signed."""
        return CONTEXT + self.text.encode()

    def keyring(self, origin: str) -> Keyring:
        """Return what it says. Raises KeyringError."""
        try:
            found: dict[str, Any] = json.loads(self.text)
            if found["format"] != FORMAT:
                raise ValueError(f"it is {found['format']}")
            number, needed = found["number"], found["needed"]
            if not all(type(one) is int and one >= 1 for one in (number, needed)):
                raise ValueError(f"number is {number!r} and needed {needed!r}")
            lists = [tuple(map(bytes.fromhex, found[name])) for name in ("trusted", "revoked")]
            if any(len(key) != 32 for keys in lists for key in keys):
                raise ValueError("a key in it is not an Ed25519 key")
            return Keyring(number, lists[0], lists[1], needed, origin)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise KeyringError(f"{origin} cannot be used: {error}") from error


def parse(path: Path) -> Statement:
    """Read a statement's file. Raises KeyringError."""
    try:
        found = json.loads(read_at_most(path, KEY_BYTES).decode("ascii"))
        pairs = [(bytes.fromhex(one["key"]), bytes.fromhex(one["signature"])) for one in found["signatures"]]
        if not isinstance(found["statement"], str):
            raise ValueError("its statement is not text")
        return Statement(found["statement"], dict(pairs))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KeyringError(f"{path} is not a statement about keys: {error}") from error


def read(folder: Path) -> Keyring | None:
    """Return what the folder's statements say together; None if there is none. Raises KeyringError."""
    path = folder / NAME
    if not path.exists():
        return None
    ring = parse(path).keyring(str(path))
    try:
        before = json.loads(read_at_most(path, KEY_BYTES).decode("ascii")).get(BEFORE, {})
        trusted, revoked = (
            tuple(map(bytes.fromhex, before.get(name, []))) for name in ("trusted", "revoked")
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise KeyringError(f"{path} cannot be used: {error}") from error
    return replace(ring, trusted=(*ring.trusted, *trusted), revoked=(*ring.revoked, *revoked))


def keep(folder: Path, statement: Statement) -> None:
    """Make a statement the one that is in force in the folder, in one step.

    What those before it said of keys stays: a key that was revoked does not come back.
    """
    before = read(folder)
    content = json.loads(statement.to_json())
    if before is not None:
        content[BEFORE] = {
            "trusted": sorted({key.hex() for key in before.trusted}),
            "revoked": sorted({key.hex() for key in before.revoked}),
        }
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{NAME}"
    with scratch.open("w", encoding="ascii") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(folder / NAME)
