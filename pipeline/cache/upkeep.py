"""Inspecting and pruning a store: its entries by build, damaged entries, and what can be removed."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache.product import KEY_LETTERS, Damaged, read_stored
from pipeline.cache.store import BUILDS, IN_USE, LOCKS, PRODUCTS, SCRATCH, remove, writing
from pipeline.errors import StorageError, UsageError

DAY_S = 86_400
GIB = 2**30


@dataclass(frozen=True)
class StoredProduct:
    """A product in the store: stage, folder, size in bytes, and time of last use (s, epoch)."""

    stage: str
    folder: Path
    size: int
    used: float

    @property
    def name(self) -> str:
        """Its name in the records of builds."""
        return f"{self.stage}/{self.folder.name}"


@dataclass(frozen=True)
class DamagedEntry:
    """An entry that is not what was stored, and what is wrong with it."""

    folder: Path
    reason: str


def entries(root: Path) -> list[StoredProduct]:
    """Return the entries of the store at `root`, the least recently used first.

    Raises UsageError if there is no store.
    """
    if not (root / PRODUCTS).is_dir():
        raise UsageError(f"There is no store at {root}. Give the --out of a build.")
    folders = [
        folder for stage in (root / PRODUCTS).iterdir() if stage.is_dir() for folder in stage.iterdir()
    ]
    used = {lock.name[:KEY_LETTERS]: lock.stat().st_mtime for lock in (root / LOCKS).iterdir()}
    found = [
        StoredProduct(
            folder.parent.name, folder, _size(folder), used.get(folder.name, folder.lstat().st_mtime)
        )
        for folder in folders
    ]
    return sorted(found, key=lambda entry: (entry.used, entry.name))


def by_build(root: Path) -> dict[str, list[StoredProduct]]:
    """Return the entries that each build uses, by the build's name; several builds may share an entry."""
    known = {entry.name: entry for entry in entries(root)}
    records = sorted((root / BUILDS).iterdir()) if (root / BUILDS).is_dir() else []
    return {
        record.name: [known[name] for name in record.read_text().split() if name in known]
        for record in records
    }


def verify(root: Path) -> list[DamagedEntry]:
    """Compare every byte in the store with what was stored, and return what is damaged."""
    found = []
    for entry in entries(root):
        try:
            read_stored(entry.stage, entry.folder)
        except Damaged as damage:
            found.append(DamagedEntry(entry.folder, str(damage)))
    return found


def prune(root: Path, days: float, limit: int) -> list[StoredProduct]:
    """Remove entries unused for `days`, then the least recently used until at most `limit` bytes are left.

    Returns the removed entries. Raises StorageError while a build is using the store.
    """
    found = entries(root)
    with writing(root), _alone(root):
        oldest = time.time() - days * DAY_S
        left = sum(entry.size for entry in found)
        removed = []
        for entry in found:
            if entry.used < oldest or left > limit:
                _remove(root, entry)
                removed.append(entry)
                left -= entry.size
        return removed


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the exclusive lock, so that no build starts. Raises StorageError if one is running."""
    with (root / IN_USE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"A build is using {root}. Prune after it has finished.") from None
        yield


def _remove(root: Path, entry: StoredProduct) -> None:
    """Move an entry aside, then remove it: a kill in between leaves no partial entry."""
    aside = root / SCRATCH / entry.folder.name
    remove(aside)
    entry.folder.rename(aside)
    remove(aside)
    for lock in (root / LOCKS).glob(f"{entry.folder.name}*"):
        lock.unlink()


def _size(folder: Path) -> int:
    files = [folder, *folder.rglob("*")] if not folder.is_symlink() else [folder]
    return sum(path.lstat().st_size for path in files if path.is_symlink() or path.is_file())
