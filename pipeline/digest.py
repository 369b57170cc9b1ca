"""SHA-256 of files, folders and plain values; the digests of unchanged files are remembered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `folder`, by its relative POSIX path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def value_digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON.

    An object with a `digest` stands for the bytes it names, so its path does not count. Raises TypeError for
    what has no canonical form, such as a path without a digest: a key must not depend on where a file lies.
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: object) -> str:
    """Return the JSON text that `value_digest` hashes."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    digest = getattr(value, "digest", None)
    if isinstance(digest, str):
        return {"digest": digest}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form; give it a digest")


@dataclass(frozen=True)
class InputFile:
    """A file that a stage reads, known by its bytes."""

    path: Path
    digest: str

    @classmethod
    def at(cls, path: Path) -> "InputFile":
        """Digest the file at `path`."""
        return cls(path, file_digest(path))
