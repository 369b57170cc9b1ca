"""Locks a Jetson's clocks at their maximum while something is timed, and gives the previous ones back."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Tuple

from .ownership import give_to_the_folders_owner, user_name

if TYPE_CHECKING:
    from collections.abc import Iterator

Say = Callable[[str], None]
Clocks = Tuple[str, int, int]
"""Name, lowest and highest: the GPU's in Hz, a processor's in kHz."""

PROGRAM = "jetson_clocks"
RANGES = (
    ("sys/class/devfreq", "*gpu*", "min_freq", "max_freq"),
    ("sys/class/devfreq", "*.ga10b", "min_freq", "max_freq"),
    ("sys/class/devfreq", "*.gv11b", "min_freq", "max_freq"),
    ("sys/devices/system/cpu/cpufreq", "policy*", "scaling_min_freq", "scaling_max_freq"),
)
"""Folder, names in it, and the files with the lowest and highest clock: of the GPU (ga10b is Orin's, gv11b
Xavier's) and of the processors. Source: the kernel's documentation of devfreq and cpufreq."""


def are_locked(root: Path = Path("/")) -> bool:
    """Return whether the lowest clock equals the highest for the GPU and for every processor."""
    gpu, processors = _ranges(root)
    return bool(gpu) and bool(processors) and all(low == high for _, low, high in gpu + processors)


def _ranges(root: Path) -> tuple[list[Clocks], list[Clocks]]:
    """Return the lowest and highest clock of GPUs and of processors, by name, where they can be read."""
    gpu: list[Clocks] = []
    processors: list[Clocks] = []
    for folder, names, lowest, highest in RANGES:
        for device in sorted((root / folder).glob(names)):
            low, high = _number(device / lowest), _number(device / highest)
            if low and high:
                (gpu if "devfreq" in folder else processors).append((device.name, low, high))
    return gpu, processors


def _moving(root: Path) -> list[str]:
    """Return what may still change its clock, where the GPU's can be read."""
    gpu, processors = _ranges(root)
    if not gpu:
        return []
    return [f"{name} ({low} to {high})" for name, low, high in gpu + processors if low != high]


def can_be_locked(root: Path = Path("/")) -> bool:
    """Return whether `locked_clocks` would find or make the clocks locked."""
    return are_locked(root) or (bool(_command()) and _runs("--show"))


@contextmanager
def locked_clocks(memory: Path, say: Say, root: Path = Path("/")) -> Iterator[bool]:
    """Lock a Jetson's clocks at their maximum, and restore them, also after a failure.

    The previous clocks are kept in the file `memory` until they are restored: after a power failure the next
    run finds the file and restores them first. Clocks that the owner locked are left alone. Yields whether
    they are locked.
    """
    if memory.exists() and not _restored(memory, say):
        yield True  # they still are what the interrupted run left
        return
    if are_locked(root):
        say("clocks were locked before and stay so")
        yield True
        return
    stored = _runs("--store", str(memory))
    if stored:
        give_to_the_folders_owner(memory)
    locked = stored and _runs()
    moving = _moving(root) if locked else []
    if not locked:
        say(_advice())
    elif moving:  # owners of Thors saw jetson_clocks leave the GPU's lowest clock where it was
        say(f"clocks are not locked: {PROGRAM} reports no error, but these may change: {', '.join(moving)}")
    try:
        yield locked and not moving
    finally:
        if memory.exists():  # also if locking failed half way
            _restored(memory, say)


def _restored(memory: Path, say: Say) -> bool:
    """Restore the clocks. The file is kept where that fails, so that nothing is lost."""
    if _runs("--restore", str(memory)):
        memory.unlink()
        return True
    say(f"clocks are still locked: `sudo {PROGRAM} --restore {memory}` gives the previous ones back")
    return False


def _advice() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        return f"clocks are not locked: there is no {PROGRAM} here"
    return (
        f"clocks are not locked: that needs root. Run this with sudo, run `sudo {PROGRAM}` before, or let "
        f"{user_name()} do so: {sudo_rule()}"
    )


def sudo_rule() -> str:
    """Return the command that lets this user lock clocks without a password."""
    program = shutil.which(PROGRAM) or f"/usr/bin/{PROGRAM}"
    return f"echo '{user_name()} ALL=(root) NOPASSWD: {program}' | sudo tee /etc/sudoers.d/edgec"


def _command() -> list[str]:
    """Return how to start jetson_clocks as root and without a question; empty if it is not here."""
    program = shutil.which(PROGRAM)
    if program is None:
        return []
    if os.geteuid() == 0:
        return [program]
    sudo = shutil.which("sudo")
    return [sudo, "-n", program] if sudo else [program]


def _runs(*arguments: str) -> bool:
    command = _command()
    if not command:
        return False
    done = subprocess.run(
        [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
