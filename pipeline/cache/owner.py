"""The process and machine that own a file of a shared folder, encoded in the file's name.

Locks of files are no help there: over NFS they may be unknown, kept to one machine, or never answered.
"""

import hashlib
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

FORGOTTEN_S = 7 * 86_400
"""What a process of another machine left for so long, without touching it, counts as left by a dead one."""
_OF_THE_MACHINE = "pid:[4026531836]"
"""The namespace of the processes that are in no container: PROC_PID_INIT_INO of linux/proc_ns.h."""
STATE, STARTED = 0, 19
"""Places in /proc/<pid>/stat behind the command: the state, and the start in ticks since the machine's."""


@dataclass(frozen=True, order=True)
class Owner:
    """A process, and when it took something, in ns: the name of what it owns ends in `str(owner)`."""

    taken_ns: int
    host: str
    process: int
    started: str

    def __str__(self) -> str:
        return f"{self.taken_ns}_{self.host}_{self.process}_{self.started}"

    @classmethod
    def me(cls) -> Self:
        """Return this process, now."""
        return cls(time.time_ns(), this_host(), os.getpid(), _status(os.getpid())[1])

    def before_all(self) -> Self:
        """Return this process before it has a time: others wait until it has."""
        return replace(self, taken_ns=0)

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """Return who owns a file by its name; None if no process does."""
        found = re.search(r"(?:^|\.)([0-9]+)_([A-Za-z0-9-]+)_([0-9]+)_([0-9]*)$", path.name)
        return cls(int(found[1]), found[2], int(found[3]), found[4]) if found else None

    @cached_property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.host == this_host()

    def is_working(self) -> bool:
        """Whether it is a process of this machine that runs; one that was stopped does not."""
        state, started = _status(self.process) if self.is_here else ("", "")
        return bool(state) and state not in "TtZX" and started == self.started

    def is_gone(self, path: Path) -> bool:
        """Whether what it owns can be removed: it has ended, or has long been silent elsewhere."""
        if self.is_here:
            state, started = _status(self.process)
            return not state or state in "ZX" or started != self.started
        try:
            return time.time() - path.lstat().st_mtime > FORGOTTEN_S
        except FileNotFoundError:
            return True


def this_host() -> str:
    """Return this machine's name, in letters that names of files may have, and what tells it from namesakes.

    Processes that cannot see each other are of different machines, though both may be called "localhost".
    """
    name = re.sub("[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{name}-{hashlib.sha256(_machine().encode()).hexdigest()[:8]}"


def _machine() -> str:
    """Return the machine's ID, which it keeps when it starts again; of a container, its processes' namespace.

    Containers often share a name, and an ID that their image has (pid_namespaces(7), machine-id(5)).
    """
    try:
        processes = str(Path("/proc/self/ns/pid").readlink())
        if processes == _OF_THE_MACHINE and (found := Path("/etc/machine-id").read_text().strip()):
            return found
        return Path("/proc/sys/kernel/random/boot_id").read_text() + processes
    except OSError:
        return ""


def working(paths: Iterable[Path]) -> list[tuple[Owner, Path]]:
    """Return those of `paths` whose owner is another running process of this machine, the earliest first."""
    owned = [(owner, path) for path in paths if (owner := Owner.of(path)) is not None]
    return sorted(
        (owner, path) for owner, path in owned if owner.process != os.getpid() and owner.is_working()
    )


def _status(process: int) -> tuple[str, str]:
    """Return a process's state and start; empty if there is none."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[STATE], fields[STARTED]
