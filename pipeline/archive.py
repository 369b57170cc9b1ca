"""Reads a bundle without unpacking it, and checks that it is what its manifest says."""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipeline.errors import BundleError
from targets.runtime.manifest import NAME, Manifest, ManifestError

MAX_BYTES = 1 << 30
"""Larger entries are refused: a small archive can unpack to anything."""
MAX_FILES = 1000
CHUNK = 1 << 20


def read_entry(bundle: Path, name: str) -> bytes:
    """Return the file `name`, relative to the bundle's top folder. Raises BundleError."""
    with _opened(bundle) as tar:
        for inside, entry in _entries(tar, bundle):
            file = tar.extractfile(entry) if inside == name else None
            if file:
                return file.read()
    raise BundleError(f"{bundle} holds no {name}. Build it again with `edgec build`.")


def read_manifest(bundle: Path) -> Manifest:
    """Return the bundle's manifest. Raises BundleError."""
    try:
        return Manifest.parse(read_entry(bundle, NAME).decode())
    except (ManifestError, UnicodeDecodeError) as error:
        raise BundleError(f"{bundle}: {error}") from error


def verify(bundle: Path) -> Manifest:
    """Compare every file with the manifest's sha256 and return the manifest; nothing is written or run.

    Raises BundleError naming the first file that is missing, changed, or not in the manifest.
    """
    manifest = read_manifest(bundle)
    found: set[str] = set()
    with _opened(bundle) as tar:
        for inside, entry in _entries(tar, bundle):
            if inside in found:
                raise BundleError(f"{bundle} holds {inside} twice.")
            found.add(inside)
            if inside != NAME and _digest(tar, entry) != manifest.files.get(inside):
                known = "was changed" if inside in manifest.files else "is not in the manifest"
                raise BundleError(f"{bundle}: {inside} {known}. Get the bundle again from its builder.")
        _read_to_the_end(tar, bundle)
    missing = sorted({*manifest.files, manifest.engine} - found)
    if missing:
        raise BundleError(f"{bundle} is incomplete: {missing[0]} is missing. Get it again.")
    return manifest


@contextmanager
def _opened(bundle: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(bundle, "r:gz") as tar:
            yield tar
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise BundleError(f"{bundle} is no bundle that can be read: {error}.") from error


def _entries(tar: tarfile.TarFile, bundle: Path) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield every file with its path below the top folder. Raises BundleError for what edgec never writes."""
    for count, entry in enumerate(tar):
        path = PurePosixPath(entry.name)
        if not entry.isreg() or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise BundleError(f"{bundle} holds {entry.name!r}, which is no file below one folder: refused.")
        if entry.size > MAX_BYTES or count >= MAX_FILES:
            raise BundleError(
                f"{bundle} claims {entry.name} of {entry.size} bytes, file {count + 1}: refused."
            )
        yield PurePosixPath(*path.parts[1:]).as_posix(), entry


def _read_to_the_end(tar: tarfile.TarFile, bundle: Path) -> None:
    """Read what follows the last entry: gzip's checksum stands at the very end, and is compared there."""
    if tar.fileobj and len(tar.fileobj.read(CHUNK)) == CHUNK:
        raise BundleError(f"{bundle} goes on after its end: refused.")


def _digest(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    digest = hashlib.sha256()
    file = tar.extractfile(entry)
    while file and (chunk := file.read(CHUNK)):
        digest.update(chunk)
    return digest.hexdigest()
