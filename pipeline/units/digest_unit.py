"""The digests of a folder's files as units, so that machines with a shared folder divide the reading."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.cache.code_at_start import Identity, identity
from pipeline.cache.digest import RememberedDigests, file_digest, value_digest
from pipeline.progress import Progress
from pipeline.reading.reading_limits import PICTURE_BYTES
from pipeline.units.workers import Workers

UNIT_FILES = 1024
Version = tuple[int, int]
"""A file's size and the time of its last change in ns: what machines with a shared folder both see."""


@dataclass(frozen=True)
class DigestUnit:
    """Some files below a folder. folder: its path, the same on all machines; versions: of each file."""

    folder: Path
    names: tuple[str, ...]
    versions: tuple[Version, ...]
    title: str
    board: str | None = None
    has_float_bits: bool = False

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of names and versions."""
        return value_digest([self.names, self.versions])

    @property
    def inputs(self) -> Mapping[str, str]:
        """Nothing: what it reads is what it digests."""
        return {}

    def run(self, progress: Progress) -> tuple[str | None, ...]:
        """Return the SHA-256 of each file; None for one that cannot be read, or is another version here."""
        with progress.task(self.title, None):
            return tuple(map(self._digest, self.names, self.versions))

    def _digest(self, name: str, expected: Version) -> str | None:
        path = self.folder / name
        try:
            return file_digest(path) if _version((name, identity(path.stat()))) == expected else None
        except OSError:
            return None


def share_digests(folder: Path, known: RememberedDigests, workers: Workers, progress: Progress) -> None:
    """Let workers digest the files below a folder that are not known yet, and remember the digests.

    A file without a result is read when its digest is asked for. What is remembered is saved after each unit.
    """
    below = folder.absolute()
    asked = {name: seen for name, seen in _files(below) if not known.has(below / name)}
    units = {unit.digest: unit for unit in _units(below, list(asked.items()))}
    for done in workers.run(tuple(units.values()), progress):
        if done.result is None:
            continue
        for name, digest in zip(units[done.unit.digest].names, done.result, strict=True):
            if digest is not None:
                known.learn(below / name, asked[name], digest)
        known.save()


def _units(folder: Path, files: Sequence[tuple[str, Identity]]) -> Iterator[DigestUnit]:
    for first in range(0, len(files), UNIT_FILES):
        some = files[first : first + UNIT_FILES]
        title = f"digest files {first + 1:,} to {first + len(some):,}"
        yield DigestUnit(folder, tuple(name for name, _ in some), tuple(map(_version, some)), title)


def _version(file: tuple[str, Identity]) -> Version:
    _, (_, _, size, modified, _) = file
    return size, modified


def _files(folder: Path) -> Iterator[tuple[str, Identity]]:
    """Yield what may be pictures, plain files that are not too long, by relative path."""
    for path in sorted(folder.rglob("*")):
        with suppress(OSError):  # it was removed
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and status.st_size <= PICTURE_BYTES:
                yield path.relative_to(folder).as_posix(), identity(status)
