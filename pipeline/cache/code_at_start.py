"""The source files as they were when the program started; a later change may not be in the code that runs.

`pipeline` loads this first, before any other module of the stages is read.
"""

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "targets", "calibration")

Identity = tuple[int, ...]


def identity(status: os.stat_result) -> Identity:
    """Return a file's device, inode, size and times, which change when its bytes change.

    A program can set the time of the last modification back, but not that of the last status change (ctime).
    """
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _files(folder: str) -> Iterator[tuple[str, Identity]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _files(entry.path)
            elif entry.is_file():
                yield entry.path, identity(entry.stat())


AT_START = dict(file for package in PACKAGES for file in _files(str(ROOT / package)))
"""The identity of each file of the packages, by its path."""
