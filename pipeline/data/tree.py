"""Files by relative path, in a folder or in a .zip that is not unpacked."""

import hashlib
import logging
import lzma
import os
import struct
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.digest import file_digest
from pipeline.errors import DataError, listed
from pipeline.reading.plain_file import is_special, read_plain
from pipeline.reading.reading_limits import PICTURE_BYTES
from pipeline.reading.zip_file import open_zip
from targets.runtime.preprocess import ImageError, decode

ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,  # a negative offset
    ValueError,
    RuntimeError,  # unknown encryption or compression
)
"""What zipfile raises for damaged archives."""

NOT_A_FILE = "it is a pipe, a socket or a device, not a file"

FileDigest = Callable[[Path], str]


class Tree(Protocol):
    """Files by relative path, with `/` between the parts."""

    location: str

    def holds(self, name: str) -> bool:
        """Whether a file of that path exists; False for a path that leads out of the tree."""
        ...

    def below(self, top: str) -> list[str]:
        """Return the paths of all files in and below the folder `top`, sorted."""
        ...

    def folders(self, top: str = "") -> list[str]:
        """Return the names of the folders in the folder `top`, or at the top level, sorted."""
        ...

    def files(self, top: str) -> list[str]:
        """Return the names of the files in the folder `top`, or at the top level, sorted."""
        ...

    def identity(self, folder: str) -> object:
        """Return what two paths have in common that lead to one folder, such as a link and where it leads."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file. Raises ImageError if they are damaged or too many."""
        ...

    def digest(self, name: str) -> str:
        """Return the sha256, in hex, of a file."""
        ...


class FolderTree:
    """The files below a folder.

    Links are followed, but no folder is entered twice: of a folder and a link to it the folder is, and of two
    links the first by name.
    """

    def __init__(self, folder: Path, digest: FileDigest = file_digest) -> None:
        self.location = str(folder)
        self._folder = folder
        self._file_digest = digest
        self._told: set[str] = set()
        self._digests: dict[str, str] = {}

    def holds(self, name: str) -> bool:
        """Whether the folder has such a file."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return False
        try:
            return (self._folder / path).is_file() or is_special(self._folder / path)
        except OSError:  # such as a name that is too long
            return False

    def below(self, top: str) -> list[str]:
        """Return the files of one of the folder's folders, sorted."""
        left_out = _LeftOut([], [])
        with _readable(self._folder / top):
            is_there = (self._folder / top).is_dir()
            files = sorted(_files_below(self._folder, top, left_out)) if is_there else []
        self._tell("links to files that are not there", left_out.nowhere)
        self._tell("links to folders that are read at their own place", left_out.again)
        return files

    def files(self, top: str) -> list[str]:
        """Return the names of the files in one of the folder's folders, or in itself, sorted."""
        with _readable(self._folder / top):
            return sorted(one.name for one in (self._folder / top).iterdir() if one.is_file())

    def _tell(self, what: str, names: Sequence[str]) -> None:
        """Name what is left out, once."""
        news = sorted(set(names) - self._told)
        if news:
            logging.getLogger("edgec.data").warning("Left out %s: %s", what, listed(news))
        self._told.update(news)

    def identity(self, folder: str) -> object:
        """Return the folder's device and inode."""
        with _readable(self._folder / folder):
            return _inode(self._folder / folder)

    def folders(self, top: str = "") -> list[str]:
        """Return the names of the folders in one of the folder's folders, or in itself, sorted."""
        place = self._folder / top
        with _readable(place):
            return sorted(one.name for one in place.iterdir() if one.is_dir()) if place.is_dir() else []

    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raises ImageError if they are too many, DataError if it cannot be read.

        A pipe, a socket or a device is damaged for whoever expects a file there: ImageError.
        """
        path = self._folder / name
        with _readable(path):
            if is_special(path):
                raise ImageError(NOT_A_FILE)
            if path.stat().st_size > PICTURE_BYTES:
                raise ImageError(f"the file is longer than {PICTURE_BYTES:,} bytes")
            return read_plain(path, PICTURE_BYTES)

    def digest(self, name: str) -> str:
        """Return a file's sha256, by the given function; the same for as long as this object exists.

        For a pipe, a socket or a device, which is never read, it is computed from its name.
        """
        if name not in self._digests:
            path = self._folder / name
            with _readable(path):
                self._digests[name] = (
                    hashlib.sha256(f"no file {name}".encode(errors="surrogateescape")).hexdigest()
                    if is_special(path)
                    else self._file_digest(path)
                )
        return self._digests[name]


class ZipTree:
    """The members of a .zip, which are never unpacked to the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.location = str(path)
        try:
            self._archive = open_zip(path)
        except ZIP_DAMAGE as error:
            raise DataError(f"{path} is damaged, or not a .zip file: {error}. Copy it again.") from error
        members = {_with_slashes(member.filename): member for member in self._archive.infolist()}
        if any(member.flag_bits & 1 for member in members.values()):
            raise DataError(f"{path} is encrypted. Unpack it and give the folder.")
        self._folders = sorted(name for name in members if name.endswith("/"))
        self._members = {name: member for name, member in sorted(members.items()) if name[-1:] != "/"}
        self._names = list(self._members)
        self._digests: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to another process: all but the open file."""
        return {name: value for name, value in vars(self).items() if name != "_archive"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again."""
        vars(self).update(state)
        self._archive = open_zip(self._path)

    def top(self) -> list[str]:
        """Return the files and folders at the top level, sorted."""
        return sorted({name.partition("/")[0] for name in self._members})

    def holds(self, name: str) -> bool:
        """Whether a member of that name exists. Any name is allowed, since none is unpacked."""
        return name in self._members

    def below(self, top: str) -> list[str]:
        """Return the members below a folder, sorted."""
        return _within(self._names, top)

    def folders(self, top: str = "") -> list[str]:
        """Return the names of the folders in a folder, or at the top level; empty ones may be listed."""
        above = PurePosixPath(top).parts
        folders = {PurePosixPath(name).parts for name in _within(self._folders, top)}
        folders |= {PurePosixPath(name).parts[:-1] for name in _within(self._names, top)}
        depth = len(above)
        return sorted({path[depth] for path in folders if path[:depth] == above and len(path) > depth})

    def files(self, top: str) -> list[str]:
        """Return the names of the members in a folder, or at the top level, sorted."""
        start = f"{top}/" if top else ""
        inside = (name.removeprefix(start) for name in self.below(top))
        return sorted(name for name in inside if "/" not in name)

    def identity(self, folder: str) -> object:
        """Return the path: an archive has no links."""
        return folder

    def read(self, name: str) -> bytes:
        """Return a member's bytes. Raises ImageError if they are damaged or too many."""
        if self._members[name].file_size > PICTURE_BYTES:
            raise ImageError(f"it unpacks to more than {PICTURE_BYTES:,} bytes")
        try:
            return self._archive.read(self._members[name])
        except ZIP_DAMAGE as error:
            raise ImageError(f"the archive is damaged there: {error}") from error

    def digest(self, name: str) -> str:
        """Return a member's sha256; the same for as long as this object exists.

        For a damaged member, which is never used, it is computed from its checksum.
        """
        if name not in self._digests:
            try:
                content = self.read(name)
            except ImageError:
                content = f"damaged {name} {self._members[name].CRC}".encode()
            self._digests[name] = hashlib.sha256(content).hexdigest()
        return self._digests[name]


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
        """Return the decoded picture. Raises ImageError, and DataError if the file was changed meanwhile."""
        return decode(self.encoded(index), channels)

    def encoded(self, index: int) -> bytes:
        """Return the file. Raises ImageError, and DataError if it was changed meanwhile."""
        return read_unchanged(self._tree, self._names[index])


def read_unchanged(tree: Tree, name: str) -> bytes:
    """Return the bytes of a file, after comparing them with the digest that entered the stage's key.

    Raises ImageError if they are damaged, DataError if they differ from the digest.
    """
    content = tree.read(name)
    if hashlib.sha256(content).hexdigest() != tree.digest(name):
        raise DataError(
            f"{tree.location}: {name} was changed while the build was reading it. Build again when it stays"
            " as it is."
        )
    return content


class _LeftOut(NamedTuple):
    """Links that lead to nothing, and links to folders that are entered elsewhere."""

    nowhere: list[str]
    again: list[str]


def _files_below(folder: Path, top: str, left_out: _LeftOut) -> Iterator[str]:
    """Yield what is below folder/top and no folder, relative to `folder`; add other links to `left_out`.

    Links are followed after all folders, by name, so that the order of the file system decides nothing. One
    to a folder around `top` is not followed. Pipes, sockets and devices are among what is yielded: whoever
    reads them counts them as damaged, so that none is passed over in silence.
    """
    around = [folder / place for place in PurePosixPath(top).parents] if top else []
    entered = {_inode(place) for place in around}
    waiting, links = [top], list[str]()
    while waiting or links:
        if not waiting:
            links.sort(reverse=True)
        place = (waiting or links).pop()
        if _inode(folder / place) in entered:
            left_out.again.append(place)
            continue
        entered.add(_inode(folder / place))
        with os.scandir(folder / place) as entries:  # the entry knows most file types without another call
            for entry in entries:
                name = f"{place}/{entry.name}" if place else entry.name
                if entry.is_dir():
                    (links if entry.is_symlink() else waiting).append(name)
                elif entry.is_file() or is_special(folder / name):
                    yield name
                elif not entry.name.startswith("."):
                    left_out.nowhere.append(name)


def _inode(place: Path) -> tuple[int, int]:
    status = place.stat()
    return status.st_dev, status.st_ino


def _within(names: Sequence[str], top: str) -> list[str]:
    """Return those of sorted names that begin with a folder's; a data set asks for each of its folders."""
    if not top:
        return list(names)
    first = bisect_left(names, f"{top}/")
    return list(names[first : bisect_left(names, f"{top}0", first)])  # 0 comes after /


def _with_slashes(name: str) -> str:
    """Return a member's name as the format demands it; some programs for Windows write backslashes."""
    return name.replace("\\", "/").removeprefix("./")


@contextmanager
def _readable(place: Path) -> Iterator[None]:
    """Raise DataError naming `place`, or what is below it, where the operating system cannot read a file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"Cannot read {error.filename or place}: {error.strerror}.") from error
