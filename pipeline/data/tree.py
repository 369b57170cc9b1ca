"""Files by relative path, in a folder or in a .zip that stays packed."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import file_digest
from pipeline.errors import DataError
from targets.runtime.preprocess import ImageError, decode

FILE_LIMIT = 64 * 2**20
"""Bytes of one encoded picture; a longer file is counted as damaged, whatever it may unpack to."""

FileDigest = Callable[[Path], str]


class Tree(Protocol):
    """Files by relative path, with `/` between the parts."""

    location: str
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Return the bytes of one of `names`. Raises ImageError if they are damaged or too many."""
        ...

    def digest(self, name: str) -> str:
        """Return the sha256, in hex, of one of `names`."""
        ...


class FolderTree:
    """The files below a folder. Links are followed, but no folder is entered twice."""

    def __init__(self, folder: Path, digest: FileDigest = file_digest) -> None:
        self.location = str(folder)
        self._folder = folder
        self._file_digest = digest
        self.names = tuple(sorted(_files_below(folder)))

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        path = self._folder / name
        if path.stat().st_size > FILE_LIMIT:
            raise ImageError(f"the file is longer than {FILE_LIMIT:,} bytes")
        return path.read_bytes()

    def digest(self, name: str) -> str:
        """Return a file's sha256, by the function given."""
        return self._file_digest(self._folder / name)


class ZipTree:
    """The members of a .zip, read where they are: nothing is unpacked onto the disk."""

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise DataError(f"{path} is damaged or no .zip: {error}. Copy it again.") from error
        members = [member for member in self._archive.infolist() if not member.is_dir()]
        if any(member.flag_bits & 1 for member in members):
            raise DataError(f"{path} is encrypted. Unpack it and name the folder.")
        self.names = tuple(sorted(member.filename for member in members))

    def read(self, name: str) -> bytes:
        """Return a member's bytes."""
        if self._archive.getinfo(name).file_size > FILE_LIMIT:
            raise ImageError(f"it unpacks to more than {FILE_LIMIT:,} bytes")
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ImageError(f"the archive is damaged there: {error}") from error

    def digest(self, name: str) -> str:
        """Return a member's sha256; for a damaged one, which never reaches a model, that of its checksum."""
        try:
            content = self.read(name)
        except ImageError:
            content = f"damaged {name} {self._archive.getinfo(name).CRC}".encode()
        return hashlib.sha256(content).hexdigest()


class TreeImages:
    """Pictures that are files of a tree."""

    def __init__(self, tree: Tree, names: tuple[str, ...], labels: NDArray[np.int64]) -> None:
        self._tree = tree
        self._names = names
        self.labels = labels

    def name(self, index: int) -> str:
        """Return the path."""
        return self._names[index]

    def digest(self, index: int) -> str:
        """Return the sha256 of the file."""
        return self._tree.digest(self._names[index])

    def decode(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Return the decoded picture. Raises ImageError."""
        return decode(self._tree.read(self._names[index]), channels)


def _files_below(folder: Path) -> list[str]:
    names: list[str] = []
    entered = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        names += [Path(parent, file).relative_to(folder).as_posix() for file in files]
    return names
