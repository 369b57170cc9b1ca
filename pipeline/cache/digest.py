"""SHA-256 of files, folders and plain values; the digests of unchanged files are remembered."""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from pipeline.cache.atomic import replacing


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
    if isinstance(value, frozenset):
        return sorted((_plain(item) for item in value), key=canonical)
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


class RememberedDigests:
    """Digests of files by path, size, modification time and inode: an unchanged file is not read again.

    A file modified within RACY_NS of being read is not remembered: it could change again without any of the
    four telling.
    """

    RACY_NS = 2_000_000_000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError):  # lost or damaged: they are only remembered, so read again
            self._known = dict(json.loads(path.read_text()))

    def __call__(self, file: Path) -> str:
        """Return the SHA-256 of a file's bytes, in hex."""
        status = file.stat()
        identity = [status.st_size, status.st_mtime_ns, status.st_ino]
        name = str(file.absolute())
        match self._known.get(name):
            case [*known, str(digest)] if known == identity:
                return digest
        digest = file_digest(file)
        if time.time_ns() - status.st_mtime_ns > self.RACY_NS:
            self._known[name] = [*identity, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write what was learned, completely or not at all."""
        if self._changed:
            with replacing(self._path) as scratch:
                scratch.write_text(json.dumps(self._known))
            self._changed = False
