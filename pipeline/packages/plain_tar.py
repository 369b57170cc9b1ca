"""Tar archives whose bytes depend only on what is in them, for packages that are such archives."""

import gzip
import io
import tarfile
from collections.abc import Mapping

MOMENT = 1577836800
"""2020-01-01 UTC: the time of every file in a package."""
Link = str
"""Where a symbolic link leads."""


def plain_tar(files: Mapping[str, bytes | Link], start: str = "") -> bytes:
    """Return a tar of files and links by their paths, with their folders, owned by root, below `start`.

    What begins as a program or a script does is one.
    """
    written = io.BytesIO()
    folders = {parent for name in files for parent in _above(name)}
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder in sorted(folders):
            tar.addfile(_entry(start + folder, tarfile.DIRTYPE, 0o755))
        for name, content in sorted(files.items()):
            if isinstance(content, Link):
                entry = _entry(start + name, tarfile.SYMTYPE, 0o777)
                entry.linkname = content
                tar.addfile(entry)
            else:
                entry = _entry(start + name, tarfile.REGTYPE, 0o755 if _is_program(name, content) else 0o644)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def packed(data: bytes) -> bytes:
    """Return gzip's form of data, without a name or a time: the same bytes from every version of Python."""
    packed = gzip.compress(data, 9, mtime=0)
    return packed[:9] + b"\x03" + packed[10:]  # the operating system, which Python 3.13 no longer writes


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = kind, mode, MOMENT
    entry.uname = entry.gname = "root"
    return entry


def _is_program(name: str, content: bytes) -> bool:
    return content.startswith(b"#!") or (content.startswith(b"\x7fELF") and ".so" not in name)


def _above(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
