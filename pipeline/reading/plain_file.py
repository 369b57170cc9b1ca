"""Reads untrusted files: regular files only, and up to a size limit."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pipeline.reading.reading_limits import PACKED_TIMES, UNPACKED_FREELY

CHUNK = 1 << 18


def plain_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in parts, without ever blocking.

    Raises OSError as opening and reading do, and for a path that is not a plain file: a pipe, a device, a
    file of the kernel that makes its readers wait.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it is open already
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a plain file", str(path))
        while chunk := file.read(CHUNK):
            yield chunk
        if chunk is None:
            raise OSError(errno.EAGAIN, "it makes its reader wait, so it is not a plain file", str(path))


def is_plain(path: Path) -> bool:
    """Whether a library may open a file: it never blocks, and ends.

    Files of the kernel, such as /proc/kmsg, call themselves regular, say that they are empty, and are not.
    """
    try:
        return path.is_file() and (path.stat().st_size > 0 or next(plain_chunks(path), b"") == b"")
    except OSError:
        return False


def is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder: a pipe, a socket, a device."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a NUL in its name
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_tar(path: Path) -> bool:
    """Whether a file begins as a tar does (POSIX.1-2001, ustar); tarfile would unpack it to find out."""
    return next(plain_chunks(path), b"")[257:262] == b"ustar"


def most_unpacked(path: Path) -> int:
    """Return the bytes that a packed file of pictures may unpack to."""
    return UNPACKED_FREELY + PACKED_TIMES * path.stat().st_size


def read_plain(path: Path, limit: int) -> bytes:
    """Return a file's bytes. Raises OSError as plain_chunks does, and for more than `limit` bytes."""
    content = bytearray()
    for chunk in plain_chunks(path):  # files of the kernel have size 0, but are not empty
        content += chunk
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"it is longer than {limit:,} bytes", str(path))
    return bytes(content)
