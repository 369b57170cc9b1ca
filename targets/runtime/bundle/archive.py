"""Reads, verifies and unpacks a bundle, without running anything in it.

There is one way in, `opened`: the file is opened once and checked whole. What is read from it afterwards
comes from the same open file and is compared with the manifest again, so that a file exchanged or changed
in between is found.
"""

from __future__ import annotations

import errno
import hashlib
import os
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Iterator, Sequence

from ..device_limits import (
    BUNDLE_BYTES,
    BUNDLE_FILE_BYTES,
    BUNDLE_FILES,
    BUNDLE_PACKED_TIMES,
    BUNDLE_UNPACKED_FREELY,
    TEXT_BYTES,
)
from . import signature, ustar
from .gzip_member import GzipMember
from .manifest import CONTROL, NAME, Manifest, ManifestError
from .regular_file import regular_file
from .signature import PublicKey, SignatureError
from .ustar import TarEntry, TarError

CHUNK = 1 << 20
DAMAGE = (OSError, EOFError, zlib.error)
"""What reading a damaged archive raises."""
UNLISTED = (NAME, signature.NAME)
"""Files without a digest in the manifest: itself, and the signature."""


class ArchiveError(ValueError):
    """A bundle that cannot be read, differs from its manifest, or is not signed with a trusted key."""


@dataclass(frozen=True)
class Verified:
    """The facts of a verified bundle.

    signer is the origin of the trusted key that signed it; None if no key is trusted here.
    """

    manifest: Manifest
    signed: bool
    signer: str | None


@contextmanager
def opened(bundle: Path, trusted: Sequence[PublicKey] = ()) -> Iterator[OpenBundle]:
    """Open and verify a bundle: its signature first, then every file against the manifest's sha256.

    With `trusted` keys one of them must have signed it. Nothing is written or run. Raises ArchiveError naming
    what is wrong: the first file that is missing, changed, or not in the manifest.
    """
    with _file(bundle) as file:
        yield OpenBundle(bundle, file, trusted)


def verify(bundle: Path, trusted: Sequence[PublicKey] = ()) -> Verified:
    """Check a bundle as `opened` does."""
    with opened(bundle, trusted) as held:
        return held.verified


def contents(bundle: Path) -> dict[str, bytes]:
    """Return all files of a sound bundle, by their path below its top folder. Raises ArchiveError."""
    with opened(bundle) as held:
        return held.contents()


def top_folder(bundle: Path) -> str:
    """Return the folder that all files of a sound bundle are in. Raises ArchiveError."""
    with opened(bundle) as held:
        return held.top


class OpenBundle:
    """A verified bundle. Whatever is read from it is compared with its manifest once more."""

    def __init__(self, path: Path, file: BinaryIO, trusted: Sequence[PublicKey]) -> None:
        """Verify the bundle. Raises ArchiveError."""
        self._path = path
        self._archive = file
        texts = self._texts()
        if NAME not in texts:
            raise ArchiveError(f"{path} holds no {NAME}. Build it again with `edgec build`.")
        signed = texts.get(signature.NAME)
        try:
            signer = signature.check(texts[NAME], signed, trusted)
        except SignatureError as error:
            raise ArchiveError(f"{path} is refused: {error}.") from error
        self._unlisted = texts
        self.verified = Verified(_parsed(path, texts[NAME]), signed is not None, signer)
        self.top = ""
        self._check()

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.verified.manifest

    def digest(self) -> str:
        """Return the sha256 of the file itself, in hex."""
        digest = hashlib.sha256()
        self._archive.seek(0)
        for chunk in iter(lambda: self._archive.read(CHUNK), b""):
            digest.update(chunk)
        return digest.hexdigest()

    def read(self, name: str, most: int = BUNDLE_FILE_BYTES) -> bytes:
        """Return the file `name`, relative to the top folder. Raises ArchiveError, also for more bytes."""
        for inside, entry in self._entries():
            if inside == name:
                if entry.size > most:
                    raise ArchiveError(
                        f"{self._path} claims {name} of {entry.size:,} bytes; at most {most:,} are read."
                    )
                return self._compared(inside, entry)
        raise ArchiveError(f"{self._path} holds no {name}. Build it again with `edgec build`.")

    def contents(self) -> dict[str, bytes]:
        """Return all files, by their path below the top folder. Raises ArchiveError."""
        return {inside: self._compared(inside, entry) for inside, entry in self._entries()}

    def unpack(self, folder: Path) -> None:
        """Write the files, without the top folder, into `folder`, which is empty. Raises ArchiveError."""
        for inside, entry in self._entries():
            path = folder / inside
            if inside in UNLISTED:
                _write(path, [self._compared(inside, entry)], executable=False)
                continue
            _write(path, self._listed(inside, entry), entry.executable)

    def _texts(self) -> dict[str, bytes]:
        """Return the manifest and the signature."""
        found: dict[str, bytes] = {}
        for inside, entry in self._entries():
            if inside in UNLISTED and inside not in found:
                if entry.size > TEXT_BYTES:
                    raise ArchiveError(f"{self._path} claims {inside} of {entry.size} bytes: refused.")
                found[inside] = self._part(entry, entry.size)
                if len(found) == len(UNLISTED):
                    break
        return found

    def _check(self) -> None:
        """Compare every file with the manifest."""
        found: set[str] = set()
        for inside, entry in self._entries():
            if inside in found:
                raise ArchiveError(f"{self._path} holds {inside} twice.")
            found.add(inside)
            self.top = PurePosixPath(entry.name).parts[0]
            if inside in UNLISTED:
                self._compared(inside, entry)
                continue
            if inside not in self.manifest.files:
                raise ArchiveError(self._changed(inside))
            for _ in self._listed(inside, entry):
                pass
        missing = sorted({*self.manifest.files, self.manifest.engine} - found)
        if missing:
            raise ArchiveError(f"{self._path} is incomplete: {missing[0]} is missing. Get it again.")

    def _listed(self, inside: str, entry: TarEntry) -> Iterator[bytes]:
        """Yield a file's content in parts, and raise ArchiveError at its end if it is not the manifest's."""
        digest = hashlib.sha256()
        for chunk in iter(lambda: self._part(entry, CHUNK), b""):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != self.manifest.files.get(inside):
            raise ArchiveError(self._changed(inside))

    def _compared(self, inside: str, entry: TarEntry) -> bytes:
        """Return an entry's content if it is what was verified."""
        if inside in UNLISTED:
            wanted = self._unlisted.get(inside, b"")
            content = self._part(entry, len(wanted) + 1)
            sound = content == wanted
        else:
            content = self._part(entry, entry.size)
            sound = hashlib.sha256(content).hexdigest() == self.manifest.files.get(inside)
        if not sound:
            raise ArchiveError(self._changed(inside))
        return content

    def _changed(self, inside: str) -> str:
        known = "was changed" if inside in (*self.manifest.files, *UNLISTED) else "is not in the manifest"
        return f"{self._path}: {inside} {known}. Get the bundle again from its builder."

    def _entries(self) -> Iterator[tuple[str, TarEntry]]:
        """Yield every file and its path below the top folder.

        Raises ArchiveError for what edgec never writes.
        """
        self._archive.seek(0)
        packed = os.fstat(self._archive.fileno()).st_size
        most = min(BUNDLE_BYTES, BUNDLE_UNPACKED_FREELY + BUNDLE_PACKED_TIMES * packed)
        total = 0
        try:
            for count, entry in enumerate(ustar.entries(GzipMember(self._archive))):
                total += entry.size
                if entry.size > BUNDLE_FILE_BYTES or total > most or count >= BUNDLE_FILES:
                    raise ArchiveError(
                        f"{self._path} claims {entry.name!r} of {entry.size} bytes,"
                        f" file {count + 1}: refused."
                    )
                yield self._inside(entry.name), entry
        except TarError as error:
            raise ArchiveError(f"{self._path} is not a bundle of edgec: {error}: refused.") from error
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _part(self, entry: TarEntry, size: int) -> bytes:
        """Return at most `size` bytes of an entry. Raises ArchiveError where the archive is damaged."""
        try:
            return entry.content.read(size)
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ArchiveError:
        return ArchiveError(f"{self._path} cannot be read as a bundle: {error}.")

    def _inside(self, name: str) -> str:
        parts = name.split("/")
        if len(parts) < 2 or {"", ".", ".."} & set(parts) or CONTROL.search(name):
            raise ArchiveError(
                f"{self._path} holds {name!r}, which is not a file below a single folder: refused."
            )
        return "/".join(parts[1:])


@contextmanager
def _file(bundle: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading."""
    with ExitStack() as held:
        try:
            file = held.enter_context(regular_file(bundle))
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise ArchiveError(
                    f"{bundle} is not a file. A bundle is a file whose name ends in .edgec."
                ) from error
            raise ArchiveError(f"{bundle} cannot be read: {error.strerror}.") from error
        yield file


def _parsed(bundle: Path, text: bytes) -> Manifest:
    try:
        return Manifest.parse(text.decode())
    except (ManifestError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{bundle}: {error}") from error


def _write(path: Path, chunks: Iterator[bytes] | Sequence[bytes], executable: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as output:
            for chunk in chunks:
                output.write(chunk)
        path.chmod(0o755 if executable else 0o644)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be written: {error.strerror}.") from error
