"""Disturbances of any command, and small disks."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.disturbed.started_commands import Place

DISTURBANCES = ("stop", "two at once", "clock", "full disk")


def stopped(place: Place, command: Sequence[str], delay: float) -> None:
    """Stop a command for a second, in which the same one starts again. Both have to succeed."""
    first = place.start(command)
    first.ended(delay)
    first.signal(signal.SIGSTOP)
    second = place.start(command)
    time.sleep(1)
    first.signal(signal.SIGCONT)
    first.succeed("one that was stopped")
    second.succeed("one beside a stopped one")


def twice(place: Place, command: Sequence[str], delay: float) -> None:
    """Start a command twice. Both have to succeed."""
    first = place.start(command)
    time.sleep(delay)
    place.start(command).succeed("the second of two")
    first.succeed("the first of two")


ENOUGH = 256 << 10
"""KiB of a disk that is not full."""


@contextlib.contextmanager
def small_disk(folder: Path, kibibytes: int = ENOUGH) -> Iterator[None]:
    """A file system of this size at the folder; root alone may do this."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def resize(folder: Path, kibibytes: int = ENOUGH) -> None:
    """Give the file system at the folder another size."""
    subprocess.run(["mount", "-o", f"remount,size={kibibytes}k", folder], check=True)
