"""The store of stage outputs, by key. It survives kills, full disks and parallel builds."""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.cache.atomic import flush
from pipeline.cache.product import (
    KEY_LETTERS,
    Damaged,
    Product,
    compare,
    read_product,
    write_manifest,
)
from pipeline.cache.remembered_code import RememberedCode
from pipeline.cache.stage import Stage
from pipeline.errors import StorageError
from pipeline.progress import Progress

IN_USE = "in_use"
"""A lock file: builds hold a shared lock while they run, pruning an exclusive one."""
PRODUCTS, LOCKS, SCRATCH = "products", "locks", "scratch"
CODE = "code.json"
"""The digests of our own sources."""
BUILDS = "builds"
"""One file for each build, under its name: the products that it has used, one per line."""


class Store:
    """Products below one folder. Any number of processes may use the same folder at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with writing(root):
            for folder in (LOCKS, SCRATCH, PRODUCTS, BUILDS):
                (root / folder).mkdir(parents=True, exist_ok=True)
            self._in_use = (root / IN_USE).open("a")  # stays open with this object: pruning is refused
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
            self._sweep()
        self._code = RememberedCode(root / CODE)

    def __del__(self) -> None:
        if hasattr(self, "_in_use"):
            self._in_use.close()

    def make(self, stage: Stage, progress: Progress) -> Product:
        """Return the stage's product, running the stage if there is none yet.

        Raises StorageError if the disk is full or not writable, and whatever the stage raises; in both cases
        nothing is left behind.
        """
        key = stage.key(self._code)
        place = self.root / PRODUCTS / stage.name / key[:KEY_LETTERS]
        try:
            found = read_product(stage.name, key, place)
        except Damaged:
            found = None  # reported by `_find_or_run`, which replaces it
        if found is None:
            with writing(self.root), self._locked(stage.name, key, progress):
                found = self._find_or_run(stage, key, place, progress)
        self._mark_as_used(key)
        with writing(self.root):
            self._code.save()
        return found

    def _find_or_run(self, stage: Stage, key: str, place: Path, progress: Progress) -> Product:
        try:
            found = read_product(stage.name, key, place)
        except Damaged as damage:
            progress.say(f"{stage.name}: the stored result {place} is damaged ({damage}); running it again")
            return self._run(stage, key, place, progress, str(damage))
        # another build may have made it while this one waited
        return found or self._run(stage, key, place, progress)

    def _run(self, stage: Stage, key: str, place: Path, progress: Progress, damage: str = "") -> Product:
        stage.refuse_changed_code()  # before minutes of work, too
        scratch = self.root / SCRATCH / key
        shutil.rmtree(scratch, ignore_errors=True)  # left by a build that was killed while this one waited
        scratch.mkdir()
        try:
            stage.run(scratch, progress)
            stage.refuse_changes()
            digests = write_manifest(scratch, stage.name, key)
            self._publish(scratch, place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return Product(stage.name, key, place, digests, cached=False, damage=damage)

    def _publish(self, scratch: Path, place: Path) -> None:
        """Move a finished entry to its place, so that it survives a loss of power."""
        for path in (*scratch.rglob("*"), scratch):
            flush(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        remove(place)
        scratch.rename(place)
        flush(place.parent)

    def adopt(self, product: Product, progress: Progress) -> None:
        """Take in an entry of another store unless it is here already.

        Raises Damaged if its bytes are not what they were when it was read.
        """
        stage, key = product.stage, product.key
        place = self.root / PRODUCTS / stage / key[:KEY_LETTERS]
        with writing(self.root), self._locked(stage, key, progress):
            with suppress(Damaged):
                if read_product(stage, key, place) is not None:
                    return
            scratch = self.root / SCRATCH / key
            shutil.rmtree(scratch, ignore_errors=True)
            try:
                shutil.copytree(product.folder, scratch, symlinks=True)
                compare(scratch, product.digests)
                self._publish(scratch, place)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        self._mark_as_used(key)

    def record(self, build: str, product: Product) -> None:
        """Note that a build uses a product."""
        file, line = self.root / BUILDS / build, f"{product.stage}/{product.folder.name}"
        if not file.is_file() or line not in file.read_text().split():
            with writing(self.root), file.open("a") as record:
                record.write(f"{line}\n")

    @contextmanager
    def _locked(self, stage: str, key: str, progress: Progress) -> Iterator[None]:
        """Hold the key's lock. The kernel releases it when the process ends, even by a kill."""
        with (self.root / LOCKS / key).open("w") as file:
            if not _taken(file):
                progress.say(f"{stage}: another build is running this stage; waiting for its result")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _mark_as_used(self, key: str) -> None:
        """Record the time of use as the modification time of the lock file; pruning reads it."""
        with suppress(OSError):  # a read-only store
            (self.root / LOCKS / key).touch()

    def _sweep(self) -> None:
        """Remove scratch folders of killed builds: those whose key is locked by no process."""
        for scratch in (self.root / SCRATCH).iterdir():
            with (self.root / LOCKS / scratch.name).open("w") as file:
                if _taken(file):
                    shutil.rmtree(scratch, ignore_errors=True)


def _taken(file: IO[str]) -> bool:
    """Try to lock a file until it is closed; False if another process holds the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(place: Path) -> None:
    """Remove a file, folder or link; the target of a link stays."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


REFUSALS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
)
"""Errors of the operating system for a place that cannot be written."""


@contextmanager
def writing(place: Path, option: str = "--out") -> Iterator[None]:
    """Raise StorageError where the disk is full or `place` cannot be written.

    option: what chooses the place, such as a command-line option.
    """
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or place  # for a copy, filename2 is the destination
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(_existing(place)).free / 2**20
            raise StorageError(
                f"No space left while writing {where} ({free:.0f} MiB free). Free some space, or choose "
                f"another folder with {option}; finished stages are kept."
            ) from error
        refused = error.errno in REFUSALS or (error.errno == errno.ENOENT and not place.exists())
        ours = Path(where).is_relative_to(place) or place.is_relative_to(where)
        if refused and ours:
            raise StorageError(
                f"Cannot write {where}: {error.strerror}. Choose a place you may write with {option}."
            ) from error
        raise


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.resolve().parents) if folder.exists())
