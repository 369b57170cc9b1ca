"""Files that appear completely or not at all, whatever happens while they are written."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Give a path to write to, beside `destination`; it takes its place if the context ends well.

    Else what was written is removed. The bytes are on the disk before the name is, and the name before this
    returns: after a power failure there is the old file or the new one, and never half of it.
    """
    # not the destination's own name with something added: that could be longer than a name may be
    name = hashlib.sha256(os.fsencode(destination.name)).hexdigest()[:16]
    scratch = destination.with_name(f".{name}.{os.getpid()}")
    try:
        yield scratch
        flush(scratch)
        scratch.replace(destination)
        flush(destination.parent)
    finally:
        scratch.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Bring a file's bytes, or the names in a folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
