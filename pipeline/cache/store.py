"""The one place that caches: what stages wrote, by key. Kills, full disks and parallel builds do no harm."""

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.cache.atomic import flush
from pipeline.cache.digest import folder_digests, value_digest
from pipeline.cache.stage import Stage
from pipeline.errors import StorageError
from pipeline.progress import Progress

MANIFEST = "product.json"


@dataclass(frozen=True)
class Product:
    """What a stage wrote: a folder of files, known by their bytes."""

    stage: str
    folder: Path
    digests: Mapping[str, str]
    cached: bool

    @property
    def digest(self) -> str:
        """The SHA-256 over all names and bytes: equal output is equal input to what follows."""
        return value_digest(dict(self.digests))

    def file(self, name: str) -> Path:
        """Return the path of one of the files. Raises KeyError if the stage did not write it."""
        if name not in self.digests:
            raise KeyError(f"{self.stage} wrote {sorted(self.digests)}, not {name!r}")
        return self.folder / name


class Store:
    """Products below one folder. Any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with writing(root):
            for folder in ("locks", "scratch", "products"):
                (root / folder).mkdir(parents=True, exist_ok=True)
            self._sweep()

    def make(self, stage: Stage, progress: Progress) -> Product:
        """Return the stage's product, running the stage if there is none yet.

        Raises StorageError if the disk is full or not writable, and whatever the stage raises; in both cases
        nothing is left behind.
        """
        key = stage.key()
        place = self.root / "products" / stage.name / key[:32]
        found = _find(stage, place)
        if found:
            return found
        with writing(self.root), self._locked(stage, key, progress):
            found = _find(stage, place)  # another build may have made it while this one waited
            return found or self._run(stage, key, place, progress)

    def _run(self, stage: Stage, key: str, place: Path, progress: Progress) -> Product:
        scratch = self.root / "scratch" / key
        shutil.rmtree(scratch, ignore_errors=True)  # of a build that was killed while this one waited
        scratch.mkdir()
        try:
            stage.run(scratch, progress)
            digests = folder_digests(scratch)
            (scratch / MANIFEST).write_text(json.dumps(digests, indent=1))
            for name in (*digests, MANIFEST):
                flush(scratch / name)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)  # incomplete: `_find` refused it
            scratch.rename(place)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return Product(stage.name, place, digests, cached=False)

    @contextmanager
    def _locked(self, stage: Stage, key: str, progress: Progress) -> Iterator[None]:
        """Hold the key's lock. The kernel drops it when a process dies, however it dies."""
        with (self.root / "locks" / key).open("w") as file:
            if not _taken(file):
                progress.say(f"{stage.name}: another build is at it; waiting for its result")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        """Remove what killed builds left: whoever holds a key's lock owns its scratch folder."""
        for scratch in (self.root / "scratch").iterdir():
            with (self.root / "locks" / scratch.name).open("w") as file:
                if _taken(file):
                    shutil.rmtree(scratch, ignore_errors=True)


def _taken(file: IO[str]) -> bool:
    """Lock a file until it is closed, unless another process has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _find(stage: Stage, place: Path) -> Product | None:
    try:
        digests = json.loads((place / MANIFEST).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    complete = isinstance(digests, dict) and all((place / name).is_file() for name in digests)
    return Product(stage.name, place, digests, cached=True) if complete else None


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
