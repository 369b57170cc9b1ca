"""The members of tar files that others wrote, one after another, in memory that does not depend on the file.

tarfile itself reads long names and pax headers of any length. Here they are bounded, and a tar that is packed
by gzip is unpacked no further than pictures can be packed.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from pipeline.errors import DataError
from pipeline.reading.plain_file import is_plain, most_unpacked
from pipeline.reading.reading_limits import TAR_NAME_BYTES, TAR_PAX_RECORDS

GZIPPED = (".tar.gz", ".tgz")
ENDINGS = (".tar", *GZIPPED)
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError, ValueError)
"""What reading a damaged tar raises here."""
CHUNK = 1 << 20
LONG_NAME, PAX, GLOBAL_PAX = b"L", b"x", b"g"


class TarMember(NamedTuple):
    """A regular file in a tar: where its bytes begin in the unpacked tar, and how many they are."""

    name: str
    offset: int
    size: int


class Unpacked:
    """A tar's bytes by position. Reading forwards is cheap; a packed one is read again to go backwards."""

    def __init__(self, path: Path) -> None:
        if not is_plain(path):
            raise DataError(f"{path} is a pipe or a device, not a file. Give a tar.")
        packed = path.name.lower().endswith(GZIPPED)
        self._file = cast("BinaryIO", gzip.open(path) if packed else path.open("rb"))  # noqa: SIM115 - see close
        self._most = most_unpacked(path) if packed else path.stat().st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at a position. Raises one of `DAMAGE`; EOFError if there are fewer."""
        if size < 0:
            raise ValueError("a negative size")  # a file would be read to its end, however long it is
        if offset + size > self._most:
            raise EOFError("it is cut off, or packed more than pictures can be")
        self._file.seek(offset)
        content = self._file.read(size)
        if len(content) != size:
            raise EOFError("it is cut off")
        return content

    def check_end(self) -> None:
        """Read to the end of a packed tar, where its checksum is. Raises one of `DAMAGE`."""
        if isinstance(self._file, gzip.GzipFile):
            while self._file.read(CHUNK):
                if self._file.tell() > self._most:
                    raise EOFError("it is packed more than pictures can be")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a tar, and close it."""
    opened = Unpacked(path)
    try:
        yield opened
    finally:
        opened.close()


def members(tar: Unpacked) -> Iterator[TarMember]:
    """Yield a tar's regular files in their order: ustar, pax, and GNU's long names.

    Folders are passed over. Raises one of `DAMAGE`, also for links and other kinds of members, whose content
    lies elsewhere.
    """
    position, name, size = 0, None, None
    while any(block := tar.read(position, tarfile.BLOCKSIZE)):
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        start = position + tarfile.BLOCKSIZE
        if header.type in (LONG_NAME, PAX, GLOBAL_PAX):
            if header.size > TAR_NAME_BYTES:
                raise ValueError(f"a header of {header.size:,} bytes; at most {TAR_NAME_BYTES:,} are read")
            content = tar.read(start, header.size)
            if header.type == LONG_NAME:
                name = content.rstrip(b"\0").decode()
            elif header.type == PAX:
                records = _pax_records(content)
                name = records.get("path", name)
                size = int(records["size"]) if "size" in records else None
            position = start + _padded(header.size)
            continue
        length = header.size if size is None else size
        called = name or header.name
        called.encode()  # not UTF-8: damage, but in a name that a longer one replaces
        if header.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
            yield TarMember(called, start, length)
        elif header.type != tarfile.DIRTYPE:
            raise ValueError(f"{called} is a link or of another kind, not a file")
        position, name, size = start + _padded(length), None, None


def _padded(size: int) -> int:
    if size < 0:
        raise ValueError("a negative size")
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _pax_records(content: bytes) -> dict[str, str]:
    """Return the records of a pax header: "<length> <key>=<value>\\n" each (POSIX.1-2001, pax)."""
    records: dict[str, str] = {}
    for _ in range(TAR_PAX_RECORDS):
        if not content:
            return records
        digits = content.partition(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        if not len(digits) < length <= len(content):
            raise ValueError("a pax header with a record of the wrong length")
        key, _, value = content[len(digits) + 1 : length - 1].decode().partition("=")
        records[key] = value
        content = content[length:]
    raise ValueError(f"a pax header of more than {TAR_PAX_RECORDS} records")


def is_shard(path: Path) -> bool:
    """Whether a path is called like a tar, packed or not."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")
