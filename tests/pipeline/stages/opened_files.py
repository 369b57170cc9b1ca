"""Reports which files of some folders were opened by any code, by inotify(7)."""

import ctypes
import errno
import os
import struct
from pathlib import Path

IN_OPEN, IN_Q_OVERFLOW, IN_ISDIR = 0x20, 0x4000, 0x40000000
EVENT = struct.Struct("iIII")
"""struct inotify_event: watch, mask, cookie, length of the name that follows."""


class OpenedFiles:
    """Files that any program opens, in Python or in C++, in the folders that are watched."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._called("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, Path] = {}

    def watch(self, root: Path) -> None:
        """Hear of every file in `root` and in the folders that are below it now."""
        for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
            watch = self._called("inotify_add_watch", self._queue, os.fsencode(folder), IN_OPEN)
            self._folders[watch] = folder

    def since_last_asked(self) -> set[Path]:
        """Return the files that were opened. Raises OverflowError if they were too many to tell."""
        found = set()
        while content := self._read():
            place = 0
            while place < len(content):
                watch, mask, _, length = EVENT.unpack_from(content, place)
                name = content[place + EVENT.size : place + EVENT.size + length].rstrip(b"\0")
                place += EVENT.size + length
                if mask & IN_Q_OVERFLOW:
                    raise OverflowError("more files were opened than the kernel keeps events for")
                if name and not mask & IN_ISDIR:
                    found.add(self._folders[watch] / os.fsdecode(name))
        return found

    def _read(self) -> bytes:
        try:
            return os.read(self._queue, 1 << 16)
        except BlockingIOError:
            return b""

    def _called(self, function: str, *arguments: object) -> int:
        found = int(getattr(self._libc, function)(*arguments))
        if found < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{function}: {os.strerror(number)} ({errno.errorcode[number]})")
        return found
