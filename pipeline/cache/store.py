"""The one place that caches: what stages wrote, by key. Kills, full disks and parallel builds do no harm."""

import errno
import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.cache.atomic import flush
from pipeline.cache.product import KEY_LETTERS, Damaged, Product, read_product, write_manifest
from pipeline.cache.stage import Stage
from pipeline.errors import StorageError
from pipeline.progress import Progress

IN_USE = "in_use"
"""A file that every build locks together with the others while it lasts, and pruning alone."""
PRODUCTS, LOCKS, SCRATCH = "products", "locks", "scratch"
BUILDS = "builds"
"""A file for each build, named like it: the products it has used, one a line."""


class Store:
    """Products below one folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with writing(root):
            for folder in (LOCKS, SCRATCH, PRODUCTS, BUILDS):
                (root / folder).mkdir(parents=True, exist_ok=True)
            self._in_use = (root / IN_USE).open("a")  # held until this object is gone: pruning waits for it
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
            self._sweep()

    def __del__(self) -> None:
        if hasattr(self, "_in_use"):
            self._in_use.close()

    def make(self, stage: Stage, progress: Progress) -> Product:
        """Return the stage's product, running the stage if there is none yet.

        Raises StorageError if the disk is full or not writable, and whatever the stage raises; in both cases
        nothing is left behind.
        """
        key = stage.key()
        place = self.root / PRODUCTS / stage.name / key[:KEY_LETTERS]
        try:
            found = read_product(stage.name, key, place)
        except Damaged:
            found = None  # said below, by whoever makes it anew
        if found is None:
            with writing(self.root), self._locked(stage, key, progress):
                found = self._find_or_run(stage, key, place, progress)
        self._mark_as_used(key)
        return found

    def _find_or_run(self, stage: Stage, key: str, place: Path, progress: Progress) -> Product:
        try:
            found = read_product(stage.name, key, place)
        except Damaged as damage:
            progress.say(f"{stage.name}: the stored result {place} is damaged: {damage}; it is made anew")
            return self._run(stage, key, place, progress, str(damage))
        # another build may have made it while this one waited
        return found or self._run(stage, key, place, progress)

    def _run(self, stage: Stage, key: str, place: Path, progress: Progress, damage: str = "") -> Product:
        scratch = self.root / SCRATCH / key
        shutil.rmtree(scratch, ignore_errors=True)  # of a build that was killed while this one waited
        scratch.mkdir()
        try:
            stage.run(scratch, progress)
            for source in stage.inputs():
                source.refuse_change()  # what was read is what the key names, to the end
            digests = write_manifest(scratch, stage.name, key)
            for path in (*scratch.rglob("*"), scratch):
                flush(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            remove(place)
            scratch.rename(place)
            flush(place.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return Product(stage.name, place, digests, cached=False, damage=damage)

    def record(self, build: str, product: Product) -> None:
        """Note that a build uses a product."""
        file, line = self.root / BUILDS / build, f"{product.stage}/{product.folder.name}"
        if not file.is_file() or line not in file.read_text().split():
            with writing(self.root), file.open("a") as record:
                record.write(f"{line}\n")

    @contextmanager
    def _locked(self, stage: Stage, key: str, progress: Progress) -> Iterator[None]:
        """Hold the key's lock. The kernel drops it when a process dies, however it dies."""
        with (self.root / LOCKS / key).open("w") as file:
            if not _taken(file):
                progress.say(f"{stage.name}: another build is at it; waiting for its result")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _mark_as_used(self, key: str) -> None:
        """Let the time of the lock's last modification be that of the product's last use, for pruning."""
        with suppress(OSError):  # a store that can only be read
            (self.root / LOCKS / key).touch()

    def _sweep(self) -> None:
        """Remove what killed builds left: whoever holds a key's lock owns its scratch folder."""
        for scratch in (self.root / SCRATCH).iterdir():
            with (self.root / LOCKS / scratch.name).open("w") as file:
                if _taken(file):
                    shutil.rmtree(scratch, ignore_errors=True)


def _taken(file: IO[str]) -> bool:
    """Lock a file until it is closed, unless another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(place: Path) -> None:
    """Remove an entry, whatever lies in its place; what a link leads to stays."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


REFUSALS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
)
"""What the operating system says of a place that cannot be written."""


@contextmanager
def writing(place: Path, option: str = "--out") -> Iterator[None]:
    """Turn what the operating system says of a full disk or an unusable `place` into a StorageError.

    option is how the user chooses the place.
    """
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename or place  # of a copy, the second is its destination
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
