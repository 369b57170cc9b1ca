"""Inspecting and pruning a store: its entries by build, damaged entries, and what can be removed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache.owner import Owner
from pipeline.cache.product import KEY_LETTERS, Damaged, read_stored
from pipeline.cache.store import FINISHED, PRODUCTS, PRUNING, SCRATCH, USED, USERS, USES, remove, writing
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
    marks = (root / USED).iterdir() if (root / USED).is_dir() else ()
    used = {mark.name[:KEY_LETTERS]: mark.stat().st_mtime for mark in marks}
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
    builds = sorted((root / USES).iterdir()) if (root / USES).is_dir() else []
    return {
        build.name: [known[name] for note in sorted(build.iterdir()) if (name := _entry(note)) in known]
        for build in builds
    }


def _entry(note: Path) -> str:
    stage, _, folder = note.name.rpartition(".")
    return f"{stage}/{folder}"


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
        if removed:
            remove(root / FINISHED)  # records of builds, some of whose results are gone
        return removed


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let no build start meanwhile. Raises StorageError if one is running, here or on another machine."""
    mine = root / USERS / f"{PRUNING}.{Owner.me()}"
    mine.parent.mkdir(exist_ok=True)
    mine.touch()
    try:
        for path in mine.parent.iterdir():
            owner = Owner.of(path)
            if path != mine and owner is not None and not owner.is_gone(path):
                where = "" if owner.is_here else f" on {owner.host} (if not, remove {path})"
                raise StorageError(f"A build is using {root}{where}. Prune after it has finished.")
        yield
    finally:
        mine.unlink(missing_ok=True)


def _remove(root: Path, entry: StoredProduct) -> None:
    """Move an entry aside, then remove it: a kill in between leaves no partial entry."""
    aside = root / SCRATCH / entry.folder.name
    remove(aside)
    entry.folder.rename(aside)
    remove(aside)
    for mark in (root / USED).glob(f"{entry.folder.name}*"):
        mark.unlink(missing_ok=True)


def _size(folder: Path) -> int:
    files = [folder, *folder.rglob("*")] if not folder.is_symlink() else [folder]
    return sum(path.lstat().st_size for path in files if path.is_symlink() or path.is_file())
