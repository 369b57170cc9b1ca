"""Whether files and folders are still as a build found them, by their identities: see `identity`."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.cache.code_at_start import Identity, identity
from pipeline.cache.digest import file_digest, value_digest


class Look(NamedTuple):
    """What a place looked like."""

    state: list[object] | None
    """It changes whenever the file, or anything in the folder, changes; None: there is nothing."""
    latest: int
    """When something there last changed, in ns since 1970."""


def look(place: Path, read: bool = False) -> Look:
    """Look at a file, or at a folder and all below it. Links are followed, and count themselves too.

    read: whether the bytes of a file count besides its identity. Raises OSError if it cannot be looked at.
    """
    try:
        status, own = place.stat(), identity(place.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return Look(None, 0)
    seen = [(os.path.realpath(place), own), (".", identity(status))]
    if stat.S_ISDIR(status.st_mode):
        seen += sorted(_below(str(place)))
    latest = max(max(modified, changed) for _, (*_, modified, changed) in seen)
    digest = [file_digest(place)] if read and stat.S_ISREG(status.st_mode) else []
    return Look([value_digest(seen), *digest], latest)


def footing(place: Path) -> tuple[int, int] | None:
    """Return the device and inode of what is at a place; None if there is nothing."""
    try:
        status = place.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _below(top: str) -> Iterator[tuple[str, Identity]]:
    """Yield what is below a folder, with its identity; no folder is entered twice."""
    waiting, entered = [top], set[tuple[int, ...]]()
    while waiting:
        folder = waiting.pop()
        inode = identity(Path(folder).stat())[:2]
        if inode in entered:
            continue
        entered.add(inode)
        with os.scandir(folder) as entries:
            for entry in entries:
                name = os.path.relpath(entry.path, top) if folder != top else entry.name
                if entry.is_symlink():
                    yield f"{name} itself", identity(entry.stat(follow_symlinks=False))
                try:
                    yield name, identity(entry.stat())
                except FileNotFoundError:
                    continue  # a link to nothing
                if entry.is_dir():
                    waiting.append(entry.path)
