"""Reads a bundle without running anything in it: checks it, and writes out what it holds."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Iterator, Sequence

from . import signature
from .manifest import NAME, Manifest, ManifestError
from .signature import PublicKey, SignatureError

MAX_BYTES = 1 << 30
"""Larger entries are refused: a small archive can unpack to anything."""
MAX_TOTAL = 4 << 30
MAX_FILES = 1000
MAX_TEXT = 16 << 20
"""Of the manifest and the signature, which are read into memory."""
CHUNK = 1 << 20
UNLISTED = (NAME, signature.NAME)
"""What the manifest cannot hold the digest of: itself, and what is signed after it."""


class ArchiveError(ValueError):
    """A bundle that cannot be read, or is not what its manifest says, or not from whom it should be."""


@dataclass(frozen=True)
class Verified:
    """A bundle whose every byte was checked. signer is None if no key is trusted here or it is not signed."""

    manifest: Manifest
    signed: bool
    signer: str | None


def read_entry(bundle: Path, name: str) -> bytes:
    """Return the file `name`, relative to the bundle's top folder. Raises ArchiveError."""
    content = _read(bundle, (name,)).get(name)
    if content is None:
        raise ArchiveError(f"{bundle} holds no {name}. Build it again with `edgec build`.")
    return content


def read_manifest(bundle: Path) -> Manifest:
    """Return the bundle's manifest. Raises ArchiveError."""
    return _parsed(bundle, read_entry(bundle, NAME))


def verify(bundle: Path, trusted: Sequence[PublicKey] = ()) -> Verified:
    """Check the signature, then compare every file with the manifest's sha256; nothing is written or run.

    Raises ArchiveError naming what is wrong: the first file that is missing, changed, or not in the manifest.
    """
    texts = _read(bundle, UNLISTED)
    if NAME not in texts:
        raise ArchiveError(f"{bundle} holds no {NAME}. Build it again with `edgec build`.")
    signed = texts.get(signature.NAME)
    try:
        signer = signature.check(texts[NAME], signed, trusted)
    except SignatureError as error:
        raise ArchiveError(f"{bundle} is refused: {error}.") from error
    manifest = _parsed(bundle, texts[NAME])
    found: set[str] = set()
    with _opened(bundle) as tar:
        for inside, entry in _entries(tar, bundle):
            if inside in found:
                raise ArchiveError(f"{bundle} holds {inside} twice.")
            found.add(inside)
            if inside not in UNLISTED and _digest(tar, entry) != manifest.files.get(inside):
                known = "was changed" if inside in manifest.files else "is not in the manifest"
                raise ArchiveError(f"{bundle}: {inside} {known}. Get the bundle again from its builder.")
        _read_to_the_end(tar, bundle)
    missing = sorted({*manifest.files, manifest.engine} - found)
    if missing:
        raise ArchiveError(f"{bundle} is incomplete: {missing[0]} is missing. Get it again.")
    return Verified(manifest, signed is not None, signer)


def unpack(bundle: Path, folder: Path) -> None:
    """Write a verified bundle's files, without its top folder, into `folder`. Raises ArchiveError."""
    with _opened(bundle) as tar:
        for inside, entry in _entries(tar, bundle):
            _write(tar, entry, folder / inside)


def contents(bundle: Path) -> dict[str, bytes]:
    """Return all files of a bundle, by their path below its top folder. Raises ArchiveError."""
    return _read(bundle, None)


def top_folder(bundle: Path) -> str:
    """Return the folder that all files of the bundle are in. Raises ArchiveError."""
    with _opened(bundle) as tar:
        for _, entry in _entries(tar, bundle):
            return PurePosixPath(entry.name).parts[0]
    raise ArchiveError(f"{bundle} is empty.")


def _parsed(bundle: Path, text: bytes) -> Manifest:
    try:
        return Manifest.parse(text.decode())
    except (ManifestError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{bundle}: {error}") from error


def _read(bundle: Path, names: tuple[str, ...] | None) -> dict[str, bytes]:
    """Return the files of these names, the first of each; all files without names."""
    found: dict[str, bytes] = {}
    with _opened(bundle) as tar:
        for inside, entry in _entries(tar, bundle):
            if inside in found or (names is not None and inside not in names):
                continue
            if inside in UNLISTED and entry.size > MAX_TEXT:
                raise ArchiveError(f"{bundle} claims {inside} of {entry.size} bytes: refused.")
            file = tar.extractfile(entry)
            if file:
                found[inside] = file.read()
            if names is not None and len(found) == len(names):
                break
    return found


@contextmanager
def _opened(bundle: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(str(bundle), "r:gz") as tar:
            yield tar
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise ArchiveError(f"{bundle} is no bundle that can be read: {error}.") from error


def _entries(tar: tarfile.TarFile, bundle: Path) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield every file and its path below the top folder. Raises ArchiveError for what edgec never writes."""
    total = 0
    for count, entry in enumerate(tar):
        path = PurePosixPath(entry.name)
        if not entry.isreg() or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise ArchiveError(f"{bundle} holds {entry.name!r}, which is no file below one folder: refused.")
        total += entry.size
        if entry.size > MAX_BYTES or total > MAX_TOTAL or count >= MAX_FILES:
            raise ArchiveError(
                f"{bundle} claims {entry.name} of {entry.size} bytes, file {count + 1}: refused."
            )
        yield PurePosixPath(*path.parts[1:]).as_posix(), entry


def _read_to_the_end(tar: tarfile.TarFile, bundle: Path) -> None:
    """Read what follows the last entry: gzip's checksum stands at the very end, and is compared there."""
    if tar.fileobj and len(tar.fileobj.read(CHUNK)) == CHUNK:
        raise ArchiveError(f"{bundle} goes on after its end: refused.")


def _write(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as output:
            for chunk in _chunks(tar, entry):
                output.write(chunk)
        path.chmod(0o755 if entry.mode & 0o100 else 0o644)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be written: {error.strerror}.") from error


def _chunks(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Iterator[bytes]:
    file = tar.extractfile(entry)
    while file:
        chunk = file.read(CHUNK)
        if not chunk:
            return
        yield chunk


def _digest(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(tar, entry):
        digest.update(chunk)
    return digest.hexdigest()
