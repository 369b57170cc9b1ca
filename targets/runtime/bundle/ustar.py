"""Reads the tar files that edgec writes, and no others, in memory that does not depend on the file.

Plain files with ustar headers, and pax headers before those whose names are long or not ASCII (POSIX.1-2001,
pax, "ustar Interchange Format" and "pax Header Block"). Everything else that a tar may hold is refused.
tarfile is not used because it reads headers of any length, and follows any number of them, before the reader
can refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Protocol

from ..device_limits import PATH_BYTES

BLOCK = 512
RECORD = 10240
"""Tar files are padded to a multiple of this with zeros."""
PLAIN, PAX = b"0", b"x"


class TarError(ValueError):
    """A tar that edgec did not write."""


class Stream(Protocol):
    """What a tar is read from, forwards."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, or fewer at the end."""
        ...


@dataclass(frozen=True)
class TarEntry:
    """A file in the archive. `content` is read, in parts, before the next entry is asked for."""

    name: str
    size: int
    executable: bool
    content: Content


class Content:
    """What an entry holds: `read` returns b"" at its end, and raises EOFError where the archive is cut."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._left = size
        self._padding = -size % BLOCK

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        wanted = min(size, self._left)
        self._left -= wanted
        return exactly(self._stream, wanted)

    def skip(self) -> None:
        """Go to the end of the block that the content ends in."""
        while self.read(1 << 16):
            pass
        exactly(self._stream, self._padding)
        self._padding = 0


def entries(stream: Stream) -> Iterator[TarEntry]:
    """Yield the files of a tar in their order. Raises TarError, and EOFError where it is cut."""
    name = None
    while True:
        block = exactly(stream, BLOCK)
        if not any(block):
            break
        kind, size = _kind_and_size(block)
        if kind == PAX and name is None:
            name = _path(stream, size)
            continue
        if kind != PLAIN:
            raise TarError(f"{name or _name(block)!r} is of the kind {kind!r}, which is not a regular file")
        entry = TarEntry(
            name or _name(block), size, bool(_octal(block[100:108]) & 0o100), Content(stream, size)
        )
        name = None
        yield entry
        entry.content.skip()
    _end(stream)


def exactly(stream: Stream, size: int) -> bytes:
    """Return the next `size` bytes. Raises EOFError if there are fewer."""
    read = stream.read(size)
    if len(read) != size:
        raise EOFError("it is cut off")
    return read


def _end(stream: Stream) -> None:
    """Read the zeros at the end, and with them the checksum of what the tar is packed in."""
    rest = stream.read(RECORD + 1)
    if len(rest) < BLOCK or len(rest) > RECORD or any(rest):
        raise TarError("its end is not that of a tar file")


def _kind_and_size(block: bytes) -> tuple[bytes, int]:
    if block[257:265] != b"ustar\x0000":
        raise TarError("a header in it is not of the ustar format")
    unsummed = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if _octal(block[148:156]) != unsummed:
        raise TarError("a header in it does not have its checksum")
    return block[156:157].replace(b"\0", PLAIN), _octal(block[124:136])


def _octal(field: bytes) -> int:
    digits = field.rstrip(b" \0")
    if not digits or set(digits) - set(b"01234567"):
        raise TarError(f"a header in it has the number {field!r}")
    return int(digits, 8)


def _name(block: bytes) -> str:
    name, prefix = (field.partition(b"\0")[0] for field in (block[:100], block[345:500]))
    return _text(prefix + b"/" + name if prefix else name)


def _path(stream: Stream, size: int) -> str:
    """Return the path of a pax header: one record of its length in digits, " path=", it, and a newline."""
    if size > PATH_BYTES:
        raise TarError(f"it has a pax header of {size} bytes; at most {PATH_BYTES} are read")
    record = exactly(stream, size)
    exactly(stream, -size % BLOCK)
    begin = b"%d path=" % size
    if not record.startswith(begin) or record[-1:] != b"\n":
        raise TarError("it has a pax header that holds something other than one path")
    return _text(record[len(begin) : -1])


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise TarError(f"the name {name!r} in it is not UTF-8") from None
