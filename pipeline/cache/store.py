"""The store of stage outputs, by key. It survives kills, full disks and builds at once, on several machines.

What a stage writes is written beside its place and renamed: no lock is needed, and a folder that several
machines share will do. Processes that make the same product at once write the same bytes; those of one
machine wait for each other, to save the work.
"""

import errno
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import getpid
from pathlib import Path

from pipeline.cache.atomic import flush
from pipeline.cache.owner import Owner, working
from pipeline.cache.product import (
    KEY_LETTERS,
    Damaged,
    Product,
    compare,
    read_product,
    read_stored,
    write_manifest,
)
from pipeline.cache.quiet_machine import working_here
from pipeline.cache.remembered_code import RememberedCode
from pipeline.cache.stage import Stage
from pipeline.errors import StorageError, WrongPlaceError
from pipeline.progress import Progress

PRODUCTS, SCRATCH = "products", "scratch"
USERS, PRUNING = "users", "pruning"
"""A file for each process that uses the store, and one with this prefix for one that prunes it."""
USED = "used"
"""An empty file for each key: its time is that of the last use."""
FINISHED = "finished"
"""A file for each build that was finished: see pipeline/build/build_record.py."""
CODE = "code.json"
"""The digests of our own sources."""
USES = "uses"
"""A folder for each build, with an empty file for each product that it has used: <stage>.<folder>."""
LOOK_AGAIN_S = 0.05, 1.0
"""How long to wait between two looks at what another process makes: at first, and at most."""
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


class Store:
    """Products below one folder. Any number of processes and machines may use the same folder at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with writing(root):
            for folder in (USED, SCRATCH, PRODUCTS, USES, USERS):
                (root / folder).mkdir(parents=True, exist_ok=True)
            self._process = getpid()
            self._in_use = root / USERS / str(Owner.me())  # stays with this object: pruning is refused
            self._in_use.touch()
            while working((root / USERS).glob(f"{PRUNING}.*")):
                time.sleep(LOOK_AGAIN_S[0])
            self._sweep()
        self._code = RememberedCode(root / CODE)

    def __del__(self) -> None:
        if hasattr(self, "_in_use") and self._process == getpid():
            with suppress(OSError):
                self._in_use.unlink(missing_ok=True)

    def make(self, stage: Stage, progress: Progress) -> Product:
        """Return the stage's product, running the stage if there is none yet.

        Raises StorageError if the disk is full or not writable, and whatever the stage raises; in both cases
        nothing is left behind.
        """
        key = stage.key(self._code)
        place = self._place(stage.name, key)
        damage = ""
        try:
            found = read_product(stage.name, key, place)
        except Damaged as error:
            found, damage = None, str(error)
            progress.say(f"{stage.name}: the stored result {place} is damaged ({damage}); running it again")
        if found is None:
            with writing(self.root):
                found = self._run(stage, key, progress, damage)
        self._mark_as_used(key)
        with writing(self.root):
            self._code.save()
        return found

    def holds(self, stage: Stage) -> bool:
        """Whether the stage's product is there and whole."""
        key = stage.key(self._code)
        try:
            return read_product(stage.name, key, self._place(stage.name, key)) is not None
        except Damaged:
            return False

    def recall(self, stage: str, key: str) -> Product | None:
        """Return what a stage stored under a key, and mark it as used; None unless it is there and whole."""
        try:
            found = read_product(stage, key, self._place(stage, key))
        except Damaged:
            return None
        if found is not None:
            self._mark_as_used(key)
        return found

    def _place(self, stage: str, key: str) -> Path:
        return self.root / PRODUCTS / stage / key[:KEY_LETTERS]

    def _run(self, stage: Stage, key: str, progress: Progress, damage: str) -> Product:
        stage.refuse_changed_code()  # before minutes of work, too
        self._sweep()
        place = self._place(stage.name, key)
        with self._scratch(key) as scratch:
            self._wait(scratch, stage.name, progress)
            with suppress(Damaged):  # another process may have been first, also without a wait
                if (found := read_product(stage.name, key, place)) is not None:
                    return found
            with working_here(self.root, stage.times_this_machine, progress):
                stage.run(scratch, progress)
            stage.refuse_changes()
            digests = write_manifest(scratch, stage.name, key)
            own = Product(stage.name, key, place, digests, cached=False, damage=damage)
            return self._publish(scratch, own, stage.is_measurement, progress)

    @contextmanager
    def _scratch(self, key: str) -> Iterator[Path]:
        """Yield an empty folder beside the products that belongs to this process alone.

        It is there before its time is taken (Lamport's bakery): whoever does not see it was earlier.
        """
        scratch = self.root / SCRATCH / f"{key[:KEY_LETTERS]}.{Owner.me().before_all()}"
        scratch.mkdir()
        scratch = scratch.rename(scratch.with_name(f"{key[:KEY_LETTERS]}.{Owner.me()}"))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _wait(self, scratch: Path, stage: str, progress: Progress) -> None:
        """Wait while a running process of this machine, that was earlier, makes the same product."""
        waited, pause = False, LOOK_AGAIN_S[0]
        while self._another_was_earlier(scratch):
            if not waited:
                progress.say(f"{stage}: another build is running this stage; waiting for its result")
            waited = True
            time.sleep(pause)
            pause = min(2 * pause, LOOK_AGAIN_S[1])

    def _another_was_earlier(self, scratch: Path) -> bool:
        """Look twice: a listing may miss a folder that is renamed meanwhile."""
        key, mine = scratch.name.partition(".")[0], Owner.of(scratch)
        looks = [working((self.root / SCRATCH).glob(f"{key}.*")) for _ in range(2)]
        return mine is not None and any(owner < mine for found in looks for owner, _ in found)

    def _publish(self, scratch: Path, own: Product, differs: bool, progress: Progress) -> Product:
        """Rename a finished entry to its place, so that it survives a loss of power.

        If another process was faster, its entry stays, after all of it was compared. `differs`: whether two
        that are right may differ.
        """
        place = own.folder
        for path in (*scratch.rglob("*"), scratch):
            flush(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                scratch.rename(place)
            except OSError as error:
                if error.errno not in TAKEN:
                    raise
            else:
                flush(place.parent)
                return own
            try:
                found = read_stored(own.stage, place, own.key)
            except Damaged:
                self._put_aside(place)
                continue
            if found.digest != own.digest and not differs:
                progress.say(
                    f"{own.stage}: two processes made different bytes from the same inputs, so that their"
                    f" machines compute differently; {place} keeps those that came first"
                )
            return found

    def _put_aside(self, place: Path) -> None:
        """Remove what is not what was stored there; another process may do the same."""
        with self._scratch(place.name) as aside, suppress(FileNotFoundError):
            place.rename(aside / "damaged")

    def adopt(self, product: Product, progress: Progress) -> None:
        """Take in an entry of another store unless it is here already.

        Raises Damaged if its bytes are not what they were when it was read.
        """
        stage, key = product.stage, product.key
        place = self._place(stage, key)
        with suppress(Damaged):
            if read_product(stage, key, place) is not None:
                self._mark_as_used(key)
                return
        with writing(self.root), self._scratch(key) as scratch:
            shutil.copytree(product.folder, scratch, symlinks=True, dirs_exist_ok=True)
            compare(scratch, product.digests)
            own = Product(stage, key, place, product.digests, cached=False)
            self._publish(scratch, own, differs=True, progress=progress)
        self._mark_as_used(key)

    def record(self, build: str, product: Product) -> None:
        """Note that a build uses a product."""
        note = self.root / USES / build / f"{product.stage}.{product.folder.name}"
        if not note.is_file():
            with writing(self.root):
                note.parent.mkdir(exist_ok=True)
                note.touch()

    def _mark_as_used(self, key: str) -> None:
        """Record the time of use; pruning reads it."""
        with suppress(OSError):  # a read-only store
            (self.root / USED / key).touch()

    def _sweep(self) -> None:
        """Remove what processes that have ended left: half-written products, and their signs of use."""
        for folder in (SCRATCH, USERS):
            for path in (self.root / folder).iterdir():
                owner = Owner.of(path)
                if owner is None or owner.is_gone(path):
                    with suppress(FileNotFoundError):
                        remove(path)


def remove(place: Path) -> None:
    """Remove a file, folder or link; the target of a link stays."""
    if place.is_symlink() or place.is_file():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


WRONG_PLACES = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
REFUSALS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
)
"""Errors of the operating system for a place that cannot be written."""


@contextmanager
def writing(place: Path, option: str = "--out") -> Iterator[None]:
    """Raise StorageError where the disk is full or `place` cannot be written.

    option: what chooses the place, such as a command-line option. A place that is none is a WrongPlaceError.
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
            kind = WrongPlaceError if error.errno in WRONG_PLACES else StorageError
            raise kind(
                f"Cannot write {where}: {error.strerror}. Choose a place you may write with {option}."
            ) from error
        raise


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.resolve().parents) if folder.exists())
