"""SHA-256 of files, folders and plain values; the digests of unchanged files are remembered."""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from pipeline.cache.atomic import replacing
from pipeline.cache.code_at_start import Identity, identity
from pipeline.errors import DataError
from pipeline.reading.plain_file import plain_chunks


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a plain file's bytes, in hex. Raises OSError if it is not a plain file."""
    digest = hashlib.sha256()
    for chunk in plain_chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `folder`, by its relative POSIX path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def value_digest(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON.

    An object with a `digest` counts by that digest, not by its path. Raises TypeError for a value without a
    canonical form, such as a path: a key must not depend on where a file is stored.
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
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
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
    """A file that a stage reads, identified by its bytes, with the files that it refers to.

    The digest is always computed from the bytes, never taken from `RememberedDigests`.
    """

    path: Path
    content: str
    """SHA-256 of the file's own bytes."""
    parts: tuple["InputFile", ...] = ()
    seen: Identity | None = field(default=None, compare=False)
    """The file's identity when it was digested; None: `refuse_change` does not check it."""

    @classmethod
    def at(cls, path: Path, parts: Iterable[Path] = ()) -> "InputFile":
        """Digest the file at `path`, and the files `parts` that it refers to, in this order.

        Raises DataError if one of them cannot be read.
        """
        try:
            seen = identity(path.stat())
            return cls(path, file_digest(path), tuple(cls.at(part) for part in parts), seen)
        except OSError as error:
            raise DataError(f"Cannot read {error.filename or path}: {error.strerror}.") from error

    @property
    def digest(self) -> str:
        """The SHA-256 over the bytes of the file and of its parts."""
        if not self.parts:
            return self.content
        return value_digest([self.content, *(part.digest for part in self.parts)])

    @property
    def size(self) -> int:
        """Bytes of the file and of its parts."""
        return self.path.stat().st_size + sum(part.size for part in self.parts)

    def refuse_change(self) -> None:
        """Raise DataError if the bytes are no longer the ones that were digested."""
        if self.seen is not None:
            try:
                same = identity(self.path.stat()) == self.seen and file_digest(self.path) == self.content
            except OSError:
                same = False
            if not same:
                raise DataError(
                    f"{self.path} was changed while the build was reading it; nothing was kept of what was"
                    " made from it. Build again when it stays as it is."
                )
        for part in self.parts:
            part.refuse_change()


class RememberedDigests:
    """Digests of files by path, device, inode, size and both times, so that unchanged images are not reread.

    A file that changed within RACY_NS before it was read is not remembered. It could change again with the
    same times: the file system's clock may be coarse (FAT: 2 s), and writes through a memory map change the
    times only when the kernel writes the page back, after 35 s by default.
    """

    RACY_NS = 60_000_000_000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError, TypeError):  # if lost or damaged, everything is read again
            checksum, known = json.loads(path.read_text())
            if isinstance(known, dict) and checksum == value_digest(known):
                self._known = known

    def __call__(self, file: Path) -> str:
        """Return the SHA-256 of a file's bytes, in hex."""
        before = identity(file.stat())
        if (known := self._of(file, before)) is not None:
            return known
        digest = file_digest(file)
        self.learn(file, before, digest)
        return digest

    def has(self, file: Path) -> bool:
        """Whether the digest of the file as it is now is remembered."""
        return self._of(file, identity(file.stat())) is not None

    def learn(self, file: Path, before: Identity, digest: str) -> None:
        """Remember the digest of a file that was read since its identity was `before`, if it is safe to."""
        *_, modified, changed = before
        if time.time_ns() - max(modified, changed) > self.RACY_NS and identity(file.stat()) == before:
            self._known[str(file.absolute())] = [*before, digest]
            self._changed = True

    def _of(self, file: Path, now: Identity) -> str | None:
        match self._known.get(str(file.absolute())):
            case [*known, str(digest)] if tuple(known) == now:
                return digest
        return None

    def save(self) -> None:
        """Write the digests to the file, atomically."""
        if self._changed:
            with replacing(self._path) as scratch:
                scratch.write_text(json.dumps([value_digest(self._known), self._known]))
            self._changed = False
