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
from pipeline.errors import DataError
from pipeline.plain_file import plain_chunks


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a plain file's bytes, in hex. Raises OSError for what is none."""
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


Identity = tuple[int, ...]


def identity(path: Path) -> Identity:
    """Return what the file system changes whenever it knows that a file's bytes changed.

    The time of the last status change (ctime) cannot be set back by a program, as that of the last
    modification can.
    """
    status = path.stat()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@dataclass(frozen=True)
class InputFile:
    """A file that a stage reads, known by its bytes, and the files that it names and cannot be read without.

    Its digest is always taken from its bytes, never from memory.
    """

    path: Path
    content: str
    """SHA-256 of the file's own bytes."""
    parts: tuple["InputFile", ...] = ()
    seen: Identity | None = field(default=None, compare=False)
    """What the file system said when it was digested; None if nobody shall look again."""

    @classmethod
    def at(cls, path: Path, parts: Iterable[Path] = ()) -> "InputFile":
        """Digest the file at `path`, and the `parts` that it names in their order.

        Raises DataError if one of them cannot be read.
        """
        try:
            seen = identity(path)
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
        """Raise DataError unless the bytes are the ones that were digested."""
        if self.seen is not None:
            try:
                same = identity(self.path) == self.seen and file_digest(self.path) == self.content
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
    """Digests of files by path, device, inode, size and both times: an unchanged picture is not read again.

    A file changed within RACY_NS of being read is not remembered. It could change again without the file
    system telling: its clock may be coarse (FAT counts 2 s), and what a program writes through a memory map
    shows in the times only when the kernel cleans the page, after 35 s by default.
    """

    RACY_NS = 60_000_000_000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError, TypeError):  # lost or damaged: only remembered, so read again
            checksum, known = json.loads(path.read_text())
            if isinstance(known, dict) and checksum == value_digest(known):
                self._known = known

    def __call__(self, file: Path) -> str:
        """Return the SHA-256 of a file's bytes, in hex."""
        before = identity(file)
        name = str(file.absolute())
        match self._known.get(name):
            case [*known, str(digest)] if tuple(known) == before:
                return digest
        digest = file_digest(file)
        *_, modified, changed = before
        if time.time_ns() - max(modified, changed) > self.RACY_NS and identity(file) == before:
            self._known[name] = [*before, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        """Write what was learned, completely or not at all."""
        if self._changed:
            with replacing(self._path) as scratch:
                scratch.write_text(json.dumps([value_digest(self._known), self._known]))
            self._changed = False
