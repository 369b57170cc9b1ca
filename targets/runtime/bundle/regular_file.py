"""Opens regular files, and waits for no others: a pipe may never have anything, a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Iterator


@contextmanager
def regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading. Raises OSError, also for what is not a regular file."""
    descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        if os.fstat(descriptor).st_size == 0:  # as files of the kernel say, which may make their reader wait
            raise OSError(errno.EINVAL, "it is empty, or a file of the kernel", str(path))
        yield file


def read_at_most(path: Path, limit: int) -> bytes:
    """Return a file's bytes. Raises OSError, also if there are more than `limit`."""
    with regular_file(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is longer than {limit:,} bytes", str(path))
    return content
