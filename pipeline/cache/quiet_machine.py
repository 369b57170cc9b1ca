"""Lets a measurement of this machine run alone: no other stage of the same store works here meanwhile.

The locks are of this machine's kernel, and lie on its own disk: those of a shared folder may be unknown there
or never answered. They end with the process, however it ends.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.progress import Progress


@contextmanager
def working_here(root: Path, alone: bool, progress: Progress) -> Iterator[None]:
    """Hold this machine's lock of the store at `root`, shared with other stages; `alone`: exclusively.

    Waiters are served in order, so that later stages do not overtake a measurement that waits. Where there
    are no such locks nothing is waited for, and a measurement says so.
    """
    with ExitStack() as held:
        try:
            _take(_place(root), alone, held, progress)
        except (OSError, PipelineError) as error:
            if alone:
                progress.say(f"measure: other builds may disturb this, since nothing can be locked: {error}")
        yield


def _take(place: Path, alone: bool, held: ExitStack, progress: Progress) -> None:
    turn, work = (
        os.open(place.with_suffix(ending), os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        for ending in (".turn", ".work")
    )
    held.callback(_release, work)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        try:
            fcntl.flock(work, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if alone:
                progress.say("measure: waiting until no other build with this --out works on this machine")
            fcntl.flock(work, kind)
    finally:
        _release(turn)


def _release(descriptor: int) -> None:
    """Unlock and close: a process that was forked meanwhile may hold the file open for longer."""
    with suppress(OSError):  # there may be no locks at all
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _place(root: Path) -> Path:
    """Return where the locks of a store are. Raises PipelineError if another user has the folder."""
    folder = Path(tempfile.gettempdir()) / f"edgec-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PipelineError(f"{folder} belongs to another user")
    return folder / hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
