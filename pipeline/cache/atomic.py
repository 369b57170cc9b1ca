"""Files that appear completely or not at all, whatever happens while they are written."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(destination: Path) -> Iterator[Path]:
    """Give a path to write to, beside `destination`; it takes its place if the context ends well.

    Else what was written is removed. The bytes are on the disk before the name is, so that not even a power
    failure leaves half a file.
    """
    # not the destination's own name with something added: that could be longer than a name may be
    name = hashlib.sha256(os.fsencode(destination.name)).hexdigest()[:16]
    scratch = destination.with_name(f".{name}.{os.getpid()}")
    try:
        yield scratch
        flush(scratch)
        scratch.replace(destination)
    finally:
        scratch.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Bring a file's bytes onto the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
