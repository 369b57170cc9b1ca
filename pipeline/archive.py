"""Reads single files out of a bundle, without unpacking it."""

import tarfile
from pathlib import Path, PurePosixPath

from pipeline.errors import ReportError

MAX_BYTES = 1 << 30
"""Larger entries are refused: a small archive can unpack to anything."""


def read_entry(bundle: Path, name: str) -> bytes:
    """Return the file `name`, relative to the bundle's top folder. Raises ReportError."""
    try:
        with tarfile.open(bundle) as tar:
            for entry in tar:
                inside = PurePosixPath(*PurePosixPath(entry.name).parts[1:])
                if entry.isfile() and inside == PurePosixPath(name):
                    return _content(tar, entry, bundle)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ReportError(f"{bundle} is no bundle that can be read: {error}.") from error
    raise ReportError(f"{bundle} holds no {name}. Build it again with `edgec build`.")


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo, bundle: Path) -> bytes:
    if entry.size > MAX_BYTES:
        raise ReportError(f"{bundle}: {entry.name} claims {entry.size} bytes; at most {MAX_BYTES} are read.")
    file = tar.extractfile(entry)
    return file.read() if file else b""
