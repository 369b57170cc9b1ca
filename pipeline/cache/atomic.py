"""Atomic writes: a file appears completely or not at all, even if the process is killed."""

import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.reading.plain_file import is_special


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; the file there replaces `destination` when the context ends.

    If the context raises, the temporary file is removed. The bytes are flushed before the file is renamed,
    and the folder afterwards: after a power failure there is the old file or the new one, never half of it.
    An OSError about the temporary path names `destination` instead, which is what the user gave.
    Raises FileExistsError for a pipe or a device, such as /dev/null: a file would take its place.
    """
    if is_special(destination):
        raise FileExistsError(errno.EEXIST, "it is a pipe or a device, not a file", str(destination))
    # a hash, since the destination's name with a suffix could be longer than a file name may be
    name = hashlib.sha256(os.fsencode(destination.name)).hexdigest()[:16]
    # and a number that no other process has, on whichever machine
    scratch = destination.with_name(f".{name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        yield scratch
        flush(scratch)
        scratch.replace(destination)
        flush(destination.parent)
    except OSError as error:
        if str(error.filename) == str(scratch):
            error.filename = str(destination)
        raise
    finally:
        with suppress(NotADirectoryError):
            scratch.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file's bytes, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
